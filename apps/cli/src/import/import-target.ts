/** Where an import goes, and how it is told of. */
export interface ImportTarget {
  url: string;
  dataDir: string;
  apply: boolean;
  json: boolean;
  print: (line: string) => void;
}
