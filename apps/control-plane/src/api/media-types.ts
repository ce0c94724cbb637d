/** RFC 7396 */
export const mergePatch = 'application/merge-patch+json';
