/** The part of a pino logger that the store uses. */
export interface StoreLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export const silentLog: StoreLog = { info: () => {}, warn: () => {} };
