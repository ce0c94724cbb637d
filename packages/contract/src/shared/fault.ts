/** Why a target, a path or a Host is refused, in words that end a sentence: "the path …". */
export interface Fault {
  fault: string;
}
