import { isDeepStrictEqual } from 'node:util';
import {
  defaultEdgeSettings,
  type EdgeOnDemand,
  type EdgeSettings,
  type EdgeSettingsRecord,
  type RouteDefaults,
} from '@lockstep/contract';

export interface FleetSettingsOptions {
  /** Throws for defaults that no route could be served by; then the settings are refused. */
  onDefaults(defaults: RouteDefaults): void;
  onOnDemand(onDemand: EdgeOnDemand | null): void;
  /** Limits and deadlines changed; they hold from here on, for connections that are open too where nothing else is said. */
  onEdge(edge: EdgeSettings): void;
}

/** What the fleet's settings say to an edge; the defaults without settings. */
export interface FleetSettings {
  /** Null: names that no route names are refused. */
  readonly onDemand: EdgeOnDemand | null;
  readonly edge: EdgeSettings;
  put(id: string, revision: number, record: EdgeSettingsRecord): void;
  delete(id: string): void;
  ids(): Iterable<string>;
}

export function createFleetSettings({ onDefaults, onOnDemand, onEdge }: FleetSettingsOptions): FleetSettings {
  let held: { id: string; revision: number } | null = null;
  let onDemand: EdgeOnDemand | null = null;
  let edge: EdgeSettings = defaultEdgeSettings;

  function put(nextOnDemand: EdgeOnDemand | null, nextEdge: EdgeSettings): void {
    if (!isDeepStrictEqual(nextEdge.defaults, edge.defaults)) onDefaults(nextEdge.defaults);
    onDemand = nextOnDemand;
    edge = nextEdge;
    onOnDemand(onDemand);
    onEdge(edge);
  }

  return {
    get onDemand() {
      return onDemand;
    },
    get edge() {
      return edge;
    },
    put(id, revision, record) {
      put(record.onDemand, record.edge);
      held = { id, revision };
    },
    delete(id) {
      if (held?.id !== id) return;
      held = null;
      put(null, defaultEdgeSettings);
    },
    ids: () => (held === null ? [] : [held.id]),
  };
}
