/* The front end's half of ante_nb (JupyterLab 4, Notebook 7): reads and changes cells through the page's own
   model, over the comm target "ante_nb.notebook". The kernel's half is ante_nb/notebook/cells/link.py. */
(() => {
  const PROTOCOL = 1;
  let shared;
  const need = async name => (await Object.values(shared[name])[0].get())();

  const text = value => (Array.isArray(value) ? value.join('') : String(value ?? ''));
  const cut = (value, limit) => {
    const whole = text(value), half = limit >> 1;
    return whole.length <= limit ? whole
      : `${whole.slice(0, half)}\n[... ${whole.length - 2 * half} characters trimmed ...]\n${whole.slice(-half)}`;
  };
  // A reply has room for so much: a message that is too long would cost the page its connection.
  const take = (value, want) => {
    const part = cut(value, Math.min(want.limit, Math.max(want.room.left, 200)));
    want.room.left -= part.length;
    return part;
  };
  const picture = (value, want) => {
    const data = text(value);
    if (!want.images || data.length > want.room.left) return null;
    want.room.left -= data.length;
    return data;
  };
  // What the kernel's half shows of an output; of the rest only that it is there (null).
  const bundle = (data, want) => Object.fromEntries(Object.entries(data || {}).map(([mime, value]) => [mime,
    /^text\/(plain|markdown|latex)$/.test(mime) ? take(value, want)
      : /^image\/(png|jpeg|gif|webp)$/.test(mime) ? picture(value, want) : null]));
  const output = (item, want) => ({
    output_type: item.output_type, name: item.name, ename: item.ename, evalue: take(item.evalue, want),
    text: take(item.text, want), traceback: item.traceback && [take(item.traceback.join('\n'), want)],
    data: bundle(item.data, want)
  });

  const activate = async (app, tracker) => {
    const { CodeCell } = await need('@jupyterlab/cells');
    const known = new WeakSet();
    const idOf = model => model.sharedModel.getId();
    const seek = (panel, id) => {
      const cells = panel.content.model.cells;
      for (let at = 0; at < cells.length; at++) if (idOf(cells.get(at)) === id) return [at, cells.get(at)];
      return [-1, null];
    };
    // A kernel may serve two notebooks: the one that holds the prompt's cell is meant.
    const panelOf = (kernel, cell) => {
      const panels = [];
      tracker.forEach(panel => panel.sessionContext.session?.kernel?.id === kernel.id && panel.content.model
        && panels.push(panel));
      return panels.find(panel => seek(panel, cell)[1]) || panels[0];
    };
    const show = (model, number, want, room) => {
      const whole = want.ids.includes(idOf(model));
      const wanted = { limit: whole ? 20000 : 2000, images: whole, room };
      return {
        number, id: idOf(model), cell_type: model.type, source: model.sharedModel.getSource(),
        execution_count: model.type === 'code' ? model.executionCount : null,
        outputs: model.type === 'code' && idOf(model) !== want.cell
          ? model.outputs.toJSON().slice(0, 200).map(item => output(item, wanted)) : [],
        attachments: whole && model.attachments
          ? Object.entries(model.attachments.toJSON()).map(([name, data]) => [name, bundle(data, wanted)]) : []
      };
    };

    const list = (panel, want) => {
      const cells = panel.content.model.cells, room = { left: 6e6 };
      return { path: panel.context.path, dirty: panel.context.model.dirty,
        cells: Array.from({ length: cells.length }, (_, at) => show(cells.get(at), at + 1, want, room)) };
    };

    const edit = (panel, want) => {
      const book = panel.content.model, refuse = reason => ({ status: 'refused', reason });
      if (book.readOnly) return refuse('the notebook is read-only');
      let [at, model] = seek(panel, want.id);
      if (want.op === 'insert') {
        if (want.id && !model) return { status: 'stale', reason: 'the cell above is gone' };
        const cell = { cell_type: want.kind, source: want.source, metadata: want.kind === 'code' ? { trusted: true } : {} };
        book.sharedModel.insertCell(at + 1, cell);
        const made = book.cells.get(at + 1);
        return { status: made?.sharedModel.getSource() === want.source ? 'applied' : 'refused',
          id: made && idOf(made), number: at + 2, source: made?.sharedModel.getSource() };
      }
      if (!model) return { status: 'stale', reason: 'the cell is gone' };
      const source = model.sharedModel.getSource(), number = at + 1, id = want.id;
      if (source !== want.expected) return { status: 'stale', reason: 'its text has changed', number, id, source };
      if (id === want.cell) return refuse('it is the cell of the running prompt');
      if (want.op === 'replace') {
        if (model.getMetadata('editable') === false) return refuse('the cell is marked as not editable');
        model.sharedModel.setSource(want.source);
        const now = model.sharedModel.getSource();
        return { status: now === want.source ? 'applied' : 'refused', number, id, source: now };
      }
      if (want.op === 'delete') {
        if (model.getMetadata('deletable') === false) return refuse('the cell is marked as not deletable');
        if (book.cells.length === 1) return refuse('it is the only cell');
        book.sharedModel.deleteCell(at);
        return { status: seek(panel, id)[1] ? 'refused' : 'applied', number, id };
      }
      if (want.op === 'run') {
        const widget = panel.content.widgets.find(item => item.model === model);
        if (model.type !== 'code' || !widget) return refuse('it is no code cell');
        // Not NotebookActions.run: that would take the person out of the cell they type in.
        CodeCell.execute(widget, panel.sessionContext, { deletedCells: book.deletedCells }).catch(() => {});
        return { status: 'queued', number, id, source };
      }
      return refuse(`this front end knows no ${want.op}`);
    };

    const attach = kernel => {
      if (!kernel || known.has(kernel)) return;
      known.add(kernel);
      kernel.registerCommTarget('ante_nb.notebook', (comm, open) => {
        const hello = open.content.data, panel = panelOf(kernel, hello.cell);
        comm.onMsg = message => {
          const want = message.content.data;
          if (want.to !== kernel.clientId) return;
          let reply;
          try {
            const target = panelOf(kernel, want.cell);
            reply = !target ? { status: 'refused', reason: 'the notebook was closed' }
              : want.op === 'list' ? list(target, want) : edit(target, want);
          } catch (error) {
            reply = { status: 'refused', reason: String(error).slice(0, 300) };
          }
          comm.send({ from: kernel.clientId, reply });
        };
        if (panel) comm.send({ from: kernel.clientId, ready: PROTOCOL, holds: !!seek(panel, hello.cell)[1] });
      });
    };

    // In ante-kernel, whose cells are edited as Markdown, a prompt stands alone.
    const isPrompt = (panel, source) => /^\s*%%ante\b/.test(source)
      || (panel.context.model.defaultKernelLanguage === 'markdown' && !/^\s*[%!?]/.test(source));

    // An image pasted into a prompt cell becomes a file beside the notebook and a mention of it.
    const paste = async event => {
      const panel = tracker.currentWidget, cell = panel?.content.activeCell;
      const file = [...(event.clipboardData?.files || [])].find(item => /^image\/(png|jpeg|gif|webp)$/.test(item.type));
      if (!file || !cell?.editor || !cell.node.contains(event.target)
        || !isPrompt(panel, cell.model.sharedModel.getSource())) return;
      event.preventDefault();
      event.stopPropagation();
      const bytes = new Uint8Array(await file.arrayBuffer());
      let raw = '';
      for (let at = 0; at < bytes.length; at += 32768) raw += String.fromCharCode(...bytes.subarray(at, at + 32768));
      const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 17);
      const name = `pasted-${stamp}.${file.type.slice(6).replace('jpeg', 'jpg')}`;
      const folder = panel.context.path.split('/').slice(0, -1);
      try {
        await app.serviceManager.contents.save([...folder, name].join('/'),
          { type: 'file', format: 'base64', content: btoa(raw) });
        cell.editor.replaceSelection?.(`@${name} `);
      } catch (error) {
        console.error('ante_nb: the pasted image could not be saved', error);
      }
    };
    document.addEventListener('paste', event => void paste(event), true);

    const follow = panel => {
      attach(panel.sessionContext.session?.kernel);
      panel.sessionContext.kernelChanged.connect((_, change) => attach(change.newValue));
    };
    tracker.forEach(follow);
    tracker.widgetAdded.connect((_, panel) => follow(panel));
  };

  (window._JUPYTERLAB ||= {})['ante-nb'] = {
    init: scope => void (shared = scope),
    get: async () => {
      const { INotebookTracker } = await need('@jupyterlab/notebook');
      const plugin = { id: 'ante-nb:cells', autoStart: true, requires: [INotebookTracker], activate };
      return () => ({ __esModule: true, default: plugin });
    }
  };
})();
