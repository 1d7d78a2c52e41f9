// What `workbench lab` adds to JupyterLab: a notebook of the workbench runs when it is opened.

/**
 * @typedef {{ trusted?: boolean, type: string }} Cell
 * @typedef {{ done: Promise<{ content: { execution_count?: number | null } }> }} Future
 * @typedef {{ requestExecute(content: object): Future }} Kernel
 * @typedef {{
 *   context?: { ready: Promise<void>, model: { getMetadata?(key: string): any, cells?: Iterable<Cell> } },
 *   sessionContext?: { ready: Promise<void>, session?: { kernel?: Kernel | null } | null },
 * }} Panel
 * @typedef {{
 *   restored: Promise<unknown>,
 *   shell: { currentWidget: Panel | null, currentChanged: { connect(act: () => void): void } },
 *   commands: { execute(name: string): Promise<unknown> },
 * }} App
 */

/**
 * Whether a notebook asks to be run and may: Jupyter trusts each cell, and the kernel has run nothing.
 * @param {Panel} panel
 */
export async function wants_to_run({ context, sessionContext }) {
  if (!context || !sessionContext) return false;
  await context.ready;
  const { model } = context;
  if (model.getMetadata?.("workbench")?.runs_on_opening !== true) return false;
  if ([...(model.cells ?? [])].some((cell) => cell.type === "code" && !cell.trusted)) return false;
  await sessionContext.ready;
  const kernel = sessionContext.session?.kernel;
  if (!kernel) return false;
  const reply = await kernel.requestExecute({ code: "", silent: true, store_history: false }).done;
  return !reply.content.execution_count;
}

export const plugin = {
  id: "cspad-workbench:run-on-opening",
  autoStart: true,
  /** @param {App} app */
  activate({ restored, shell, commands }) {
    /** @type {WeakSet<Panel>} */
    const seen = new WeakSet();
    const look = async () => {
      const panel = shell.currentWidget;
      if (!panel || seen.has(panel)) return;
      seen.add(panel);
      if ((await wants_to_run(panel)) && shell.currentWidget === panel) {
        await commands.execute("notebook:run-all-cells");
      }
    };
    shell.currentChanged.connect(look);
    restored.then(look);
  },
};
