import { copyCheckout } from './copy-checkout.ts';

export interface ReleaseDifferences {
  /** It knows a kind of records more, the notice, and control planes call no route live at an edge that does not. */
  notices: boolean;
  /** Of the kind `route`; this checkout has version 1. */
  routeVersion: 1 | 2;
}

/** Another release of this product, which it makes in `root`: a copy of the sources with few differences. */
export async function buildRelease(root: string, differences: ReleaseDifferences): Promise<string> {
  const { edit, add } = await copyCheckout(root);

  if (differences.routeVersion === 2) {
    await edit(
      'packages/contract/src/records/route.ts',
      '  version: 1,\n',
      '  version: 2,\n  upgrade: (value) => value as unknown as RouteRecord,\n',
    );
  }
  if (differences.notices) {
    await add('packages/contract/src/records/notice.ts', noticeModule);
    const kinds = 'packages/contract/src/records/kinds.ts';
    await edit(kinds, '  staple,\n', '  staple,\n  notice,\n');
    await edit(kinds, 'import ', "import { notice } from './notice.ts';\nimport ");
    const worker = 'apps/edge-agent/src/native/worker';
    await edit(`${worker}/served-kinds.ts`, "  'staple',\n", "  'staple',\n  'notice',\n");
    await edit(
      `${worker}/configuration.ts`,
      '    staple: staples,\n',
      '    staple: staples,\n    notice: { ids: () => [], delete() {} },\n',
    );
    await edit(
      'apps/control-plane/src/routes/route-status.ts',
      '[route, ...valid]',
      "[route, { kind: 'notice', id: 'all', revision: 0 }, ...valid]",
    );
  }
  return root;
}

const noticeModule = `
import { recordKind } from './kind-module.ts';

export const notice = recordKind<{ text: string }>()({
  kind: 'notice',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => true,
});
`;
