export * from './config-tree.ts';
export { type InnerId, innerIdsOf } from './inner-ids.ts';
export type { Note, NoteLevel } from './notes.ts';
export { mostHosts, mostPaths } from './planned-route.ts';
export * from './render-route.ts';
export { routeIdOf } from './route-id.ts';
export { issuerOfStorage, storageKeyOf } from './storage-key.ts';
export * from './translate.ts';
export { type WholeRoute, wholeRoutesOf } from './whole-routes.ts';
