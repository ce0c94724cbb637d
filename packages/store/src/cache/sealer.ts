/** Seals rows. `open` throws `AppError('wrong_secret_key')` for another key, another context or altered text. */
export interface Sealer {
  seal(plaintext: string, context: string): string;
  open(sealed: string, context: string): string;
}
