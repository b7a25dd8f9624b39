/* The front end's half of ante_nb (JupyterLab 4, Notebook 7). It reads and changes cells through the page's own
   model, over the comm target "ante_nb.notebook" (the kernel's half: ante_nb/notebook/cells/link.py), and shows
   a panel beside each notebook, over "ante_nb.panel" (ante_nb/widgets/panel.py). */
(() => {
  const PROTOCOL = 1;
  const PANEL_PROTOCOL = 1;
  const RUNNING_PROTOCOL = 1;
  const VERSION = '0.1.0';
  let shared;
  let openPanel = null;
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

  // In ante-kernel, whose cells are edited as Markdown, a prompt stands alone.
  const standsAlone = (panel, source) => panel.context.model.defaultKernelLanguage === 'markdown' && !/^\s*[%!?]/.test(source);
  const isPrompt = (panel, source) => /^\s*%%ante\b/.test(source) || standsAlone(panel, source);

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
      if (want.op === 'panel') return openPanel ? openPanel(panel) : refuse('the panel is disabled in this page');
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

    // A page that was reloaded has lost its running cell; the kernel tells what that has shown, and goes on to.
    const rejoin = async (panel, kernel) => {
      await panel.context.ready;
      const cells = panel.content.model?.cells, places = new Map();
      if (kernel.isDisposed || kernel.status === 'starting' || !cells) return;
      const prompt = at => cells.get(at).type === 'code' && isPrompt(panel, cells.get(at).sharedModel.getSource());
      if (!Array.from({ length: cells.length }, (_, at) => at).some(prompt)) return;
      const comm = kernel.createComm('ante_nb.running');
      let model = null;
      comm.onMsg = message => {
        const told = message.content.data;
        if (told.cell) {
          model = panel.isDisposed || told.v !== RUNNING_PROTOCOL ? null : seek(panel, told.cell)[1];
          if (model?.type !== 'code') return void comm.close();
          model.trusted = true;
          model.outputs.clear();
          panel.content.widgets.find(item => item.model === model)?.setPrompt('*');
        }
        for (const { id, data, metadata } of told.outputs || []) {
          const item = { output_type: 'display_data', data, metadata };
          if (places.has(id)) model.outputs.set(places.get(id), item);
          else places.set(id, model.outputs.add(item) - 1);
        }
        if (told.ended) {
          model.executionCount = told.count;
          panel.content.widgets.find(item => item.model === model)?.setPrompt(`${told.count ?? ''}`);
          comm.close();
        }
      };
      comm.open({ v: RUNNING_PROTOCOL, client: kernel.clientId });
    };

    const attach = (kernel, panel) => {
      if (!kernel || known.has(kernel)) return;
      known.add(kernel);
      if (panel) rejoin(panel, kernel).catch(error => console.error('ante_nb:', error));
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
      attach(panel.sessionContext.session?.kernel, panel);
      panel.sessionContext.kernelChanged.connect((_, change) => attach(change.newValue, change.oldValue ? null : panel));
    };
    tracker.forEach(follow);
    tracker.widgetAdded.connect((_, panel) => follow(panel));
  };

  // ---------------------------------------------------------------------------------------------- the panel

  const node = (tag, className, words) => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = words || '';
    return made;
  };

  const activatePanel = async (app, tracker, palette) => {
    const { Widget } = await need('@lumino/widgets');
    const { CodeCell } = await need('@jupyterlab/cells');
    const sides = new Map();
    const KEY = 'ante-nb:panels';

    // A prompt becomes a cell of the notebook, below the active one.
    const insert = (panel, words) => {
      if (!panel || panel.isDisposed || !panel.content.model) return 'The notebook was closed.';
      const book = panel.content.model, view = panel.content, kernel = panel.sessionContext.session?.kernel;
      if (book.readOnly) return 'The notebook is read-only.';
      if (!kernel) return 'The notebook has no kernel.';
      const focused = document.activeElement, at = view.activeCellIndex + 1;
      const source = standsAlone(panel, words) ? words : `%%ante\n${words}`;
      book.sharedModel.insertCell(at, { cell_type: 'code', source, metadata: { trusted: true } });
      view.mode = 'command';
      view.activeCellIndex = at;
      focused?.focus?.({ preventScroll: true });
      const cell = view.widgets[at];
      if (cell?.model.sharedModel.getSource() !== source) return 'The notebook did not take the cell.';
      Promise.resolve(view.scrollToItem?.(at, 'smart')).catch(() => {});
      CodeCell.execute(cell, panel.sessionContext, { deletedCells: book.deletedCells }).catch(() => {});
      return '';
    };

    class Side {
      constructor(panel) {
        this.panel = panel;
        this.comm = this.end = this.listener = null;
        const widget = this.widget = new Widget();
        widget.id = `ante-panel-${panel.id}`;
        widget.addClass('ante-side');
        this.name();
        const context = panel.sessionContext;
        this.signals = [
          [context.kernelChanged, () => this.connect()],
          [context.statusChanged, (_, status) => this.status(status)],
          [context.connectionStatusChanged, (_, status) => status === 'connected' && this.send({ kind: 'ready' })],
          [context.iopubMessage, (_, message) => this.heard(message)],
          [panel.context.pathChanged, () => { this.name(); this.connect(); remember(); }]
        ];
        for (const [signal, slot] of this.signals) signal?.connect(slot);
        panel.disposed.connect(() => this.close(false));
        this.connect();
      }
      name() {
        const path = this.panel.context.path;
        this.title = path.split('/').pop();
        this.widget.title.label = `Ante: ${this.title}`;
        this.widget.title.caption = `Ante beside ${path}`;
      }
      close(forget = true) {
        for (const [signal, slot] of this.signals) signal?.disconnect(slot);
        this.drop(true);
        sides.delete(this.panel);
        this.widget.dispose();
        if (forget) remember();
      }
      drop(tell) {
        const comm = this.comm;
        this.comm = this.listener = null;
        clearTimeout(this.late);
        this.end?.();
        this.end = null;
        if (tell && comm && !comm.isDisposed) try { comm.close(); } catch { /* the kernel is gone */ }
        this.widget.node.replaceChildren();
      }
      say(words, action, run) {
        const box = node('div', 'ante-side-note', '');
        box.style.padding = '14px 16px';
        box.setAttribute('role', 'status');
        box.append(node('h3', '', `Ante · ${this.title}`), node('p', '', words));
        if (action) {
          const button = node('button', 'jp-mod-styled jp-mod-accept', action);
          button.addEventListener('click', () => { button.disabled = true; void run(); });
          box.append(button);
        }
        this.widget.node.replaceChildren(box);
      }
      get kernel() {
        return this.panel.sessionContext.session?.kernel || null;
      }
      send(message) {
        if (this.comm && !this.comm.isDisposed) this.comm.send(message);
      }
      connect() {
        this.drop(true);
        this.sawLoad = false;
        const kernel = this.kernel;
        if (!kernel || kernel.status === 'dead') return this.say('No kernel runs in this notebook. Start one, and the panel comes.');
        if (/restarting/.test(kernel.status)) return this.say('The kernel restarts …');
        this.say('Waiting for the kernel …');
        this.late = setTimeout(() => this.say('The kernel is busy and does not answer yet. The panel comes as soon as it does.'), 4000);
        let comm;
        try {
          comm = this.comm = kernel.createComm('ante_nb.panel');
          comm.onMsg = message => comm === this.comm && void this.take(message.content.data);
          comm.onClose = () => comm === this.comm && this.absent();
          comm.open({ v: PANEL_PROTOCOL, version: VERSION });
        } catch (error) {
          this.drop(false);
          this.say(`The panel cannot talk to this kernel: ${String(error).slice(0, 200)}`, 'Try again', () => this.connect());
        }
      }
      // The kernel closed the comm: it has no such target.
      absent() {
        this.drop(false);
        this.lost = true;
        this.say('This kernel has not loaded ante_nb (a restarted kernel has forgotten it). Run %load_ext ante_nb in a cell, or:',
          'Load ante_nb', async () => {
            const kernel = this.kernel;
            if (!kernel) return this.connect();
            const reply = await kernel.requestExecute({ code: '%load_ext ante_nb', store_history: false, stop_on_error: false }).done;
            if (reply.content.status === 'ok') return this.connect();
            this.say(`ante_nb could not be loaded: ${text(reply.content.evalue).slice(0, 300)} Is it installed where the kernel runs (pip install ante_nb)?`,
              'Try again', () => this.connect());
          });
      }
      async take(data) {
        if (data.kind !== 'hello') return this.listener?.(data);
        clearTimeout(this.late);
        const both = `This page has version ${VERSION} of ante_nb's extension, the kernel has version ${data.version} of ante_nb.`;
        if (data.v !== PANEL_PROTOCOL || !data.script) {
          this.drop(true);
          return this.say(`${both} They do not understand each other: install the same version in both places, restart the Jupyter server and reload the page.`);
        }
        const comm = this.comm, url = URL.createObjectURL(new Blob([data.script], { type: 'text/javascript' }));
        let module;
        try {
          module = await import(/* webpackIgnore: true */ url);
        } catch (error) {
          this.drop(true);
          return this.say(`The panel's script could not be run: ${String(error).slice(0, 200)}`, 'Try again', () => this.connect());
        } finally {
          URL.revokeObjectURL(url);
        }
        if (comm !== this.comm) return;
        const style = document.createElement('style');
        style.textContent = data.style;
        this.widget.node.replaceChildren(style);
        this.end = module.mount({
          el: this.widget.node, send: message => this.send(message), listen: callback => (this.listener = callback),
          place: {
            title: this.title,
            note: data.version === VERSION ? '' : `${both} Restart the Jupyter server and reload the page, so that both are the same.`,
            prompt: async words => insert(this.panel, words),
            interrupt: () => void this.kernel?.interrupt(),
            close: () => this.close()
          }
        });
      }
      status(status) {
        if (/restarting|dead|terminating/.test(status)) {
          this.drop(false);
          this.gone = true;
          this.say(status === 'dead' ? 'The kernel has died. Restart it, and the panel comes back.' : 'The kernel restarts …');
        } else if (this.gone && /idle|busy/.test(status)) {
          this.gone = false;
          this.connect();
        }
      }
      // A cell may load the extension while nothing answers here.
      heard(message) {
        if (this.comm) return;
        if (message.header.msg_type === 'execute_input' && /ante/.test(message.content.code)) this.sawLoad = true;
        if (message.header.msg_type === 'status' && message.content.execution_state === 'idle' && this.sawLoad) this.connect();
      }
    }

    // Which notebooks have a panel, for the page that is loaded next in this tab.
    const remember = () => {
      const list = [...sides.values()].map(side => [side.panel.context.path, side.widget.isVisible]);
      try { sessionStorage.setItem(KEY, JSON.stringify(list)); } catch { /* a page without storage */ }
    };
    const remembered = () => {
      try { return JSON.parse(sessionStorage.getItem(KEY)) || []; } catch { return []; }
    };
    const open = (panel, front = true) => {
      let side = sides.get(panel);
      if (!side) {
        sides.set(panel, side = new Side(panel));
        app.shell.add(side.widget, 'right', { rank: 900 });
      } else if (!side.comm) side.connect();
      if (front) app.shell.activateById(side.widget.id);
      remember();
      return { status: 'opened' };
    };
    openPanel = open;
    globalThis.anteNb = {
      insert: async (element, words) => {
        let found = null;
        tracker.forEach(panel => { if (panel.node.contains(element)) found = panel; });
        return insert(found, words);
      }
    };

    const before = remembered();
    const restore = panel => panel.context.ready.then(() => {
      const at = before.findIndex(([path]) => path === panel.context.path);
      if (at >= 0 && !panel.isDisposed) open(panel, before.splice(at, 1)[0][1]);
    });
    tracker.forEach(restore);
    tracker.widgetAdded.connect((_, panel) => void restore(panel));
    // The panel that is in sight is that of the notebook one works in.
    tracker.currentChanged.connect((_, panel) => {
      const side = panel && sides.get(panel);
      if (side && !side.widget.isVisible && [...sides.values()].some(other => other.widget.isVisible)) app.shell.activateById(side.widget.id);
    });
    window.addEventListener('pagehide', remember);

    const command = 'ante-nb:open-panel';
    app.commands.addCommand(command, {
      label: 'Open the Ante Panel', caption: 'Provider and model, usage, prompts and the running turn of this notebook',
      isEnabled: () => !!tracker.currentWidget, execute: () => tracker.currentWidget && void open(tracker.currentWidget)
    });
    palette?.addItem({ command, category: 'Notebook Operations' });
  };

  (window._JUPYTERLAB ||= {})['ante-nb'] = {
    init: scope => void (shared = scope),
    get: async () => {
      const { INotebookTracker } = await need('@jupyterlab/notebook');
      const { ICommandPalette } = await need('@jupyterlab/apputils');
      const plugins = [
        { id: 'ante-nb:cells', autoStart: true, requires: [INotebookTracker], activate },
        { id: 'ante-nb:panel', autoStart: true, requires: [INotebookTracker], optional: [ICommandPalette], activate: activatePanel }
      ];
      return () => ({ __esModule: true, default: plugins });
    }
  };
})();
