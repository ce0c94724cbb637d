export { type Boundary, createBoundary } from '@lockstep/contract';
