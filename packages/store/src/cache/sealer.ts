/** Seals rows. `open` throws `AppError('wrong_secret_key')` for another key, another context or altered text. */
export interface Sealer {
  seal(plaintext: string, context: string): string;
  open(sealed: string, context: string): string;
  /** Whether it was sealed with the key that this one seals with: it may open with several. */
  isCurrent(sealed: string): boolean;
}
