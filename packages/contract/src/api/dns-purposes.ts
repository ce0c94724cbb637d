/** What a record in the DNS of a host is for, in the order in which they are listed. */
export const dnsPurposes = ['traffic', 'ownership', 'challenge', 'caa'] as const;
export type DnsPurpose = (typeof dnsPurposes)[number];
