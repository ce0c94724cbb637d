export * from './canary.ts';
export { deriveEdgeKey, generateSecretKey } from './keys.ts';
export {
  createEdgeSealer,
  createSealer,
  createSealers,
  type KeyHolder,
  keyIdOf,
  type Sealer,
  type Sealers,
} from './sealer.ts';
