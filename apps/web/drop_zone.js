// Takes files from anywhere on the page or from the file dialog and sends them to the API, a few at a time.
const AT_ONCE = 3;
const MAX_FILES = 5000;

export default {
  template: `
    <div class="drop-zone" :class="{ 'is-over': dragging }">
      <input ref="input" type="file" multiple class="visually-hidden" tabindex="-1" aria-hidden="true" aria-label="Files" @change="picked" />
      <button type="button" class="drop-target" @click="$refs.input.click()">
        <span class="icon icon-upload" aria-hidden="true"></span>
        <span class="drop-title">Add documents</span>
        <span class="drop-hint">{{ hint }}</span>
      </button>
      <ul v-if="rows.length || waiting.length" class="sending" aria-live="polite">
        <li v-for="row in rows" :key="row.key" :class="{ 'is-error': row.error }">
          <div class="sending-line">
            <span class="sending-name">{{ row.name }}</span>
            <button v-if="row.error && row.file" type="button" class="button button-small" @click="again(row)">Try again</button>
            <button v-if="row.error" type="button" class="button button-quiet button-icon" aria-label="Dismiss" title="Dismiss"
              @click="drop(row)"><span class="icon icon-close" aria-hidden="true"></span></button>
            <span v-else class="sending-share">{{ Math.round(row.share * 100) }} %</span>
          </div>
          <div v-if="row.error" class="problem" role="alert">{{ row.error }}</div>
          <div v-else class="bar" role="progressbar" :aria-label="'Sending ' + row.name" aria-valuemin="0" aria-valuemax="100"
            :aria-valuenow="Math.round(row.share * 100)"><span :style="{ width: row.share * 100 + '%' }"></span></div>
        </li>
        <li v-if="waiting.length" class="sending-more">{{ waiting.length.toLocaleString("en") }} more to send</li>
      </ul>
      <div v-if="dragging" class="drop-overlay" aria-hidden="true"><div>Drop to add to your documents</div></div>
    </div>`,
  props: { url: String, hint: String, maxBytes: Number },
  emits: ["accepted"],
  data() {
    return { rows: [], waiting: [], dragging: false, next: 0 };
  },
  mounted() {
    this.depth = 0;
    this.listeners = { dragenter: this.enter, dragover: this.over, dragleave: this.leave, drop: this.dropped };
    for (const [type, listener] of Object.entries(this.listeners)) document.addEventListener(type, listener);
    window.addEventListener("beforeunload", this.warn);
  },
  unmounted() {
    for (const [type, listener] of Object.entries(this.listeners)) document.removeEventListener(type, listener);
    window.removeEventListener("beforeunload", this.warn);
  },
  methods: {
    hasFiles(event) {
      return [...(event.dataTransfer?.types ?? [])].includes("Files");
    },
    enter(event) {
      if (!this.hasFiles(event)) return;
      this.depth += 1;
      this.dragging = true;
    },
    over(event) {
      if (this.hasFiles(event)) event.preventDefault();
    },
    leave(event) {
      if (!this.hasFiles(event)) return;
      this.depth = Math.max(0, this.depth - 1);
      this.dragging = this.depth > 0;
    },
    async dropped(event) {
      if (!this.hasFiles(event)) return;
      event.preventDefault();
      this.depth = 0;
      this.dragging = false;
      // Entries have to be taken before the first await: the event's data is gone after it.
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      this.add(entries.length ? await filesOf(entries) : [...event.dataTransfer.files]);
    },
    picked(event) {
      this.add([...event.target.files]);
      event.target.value = "";
    },
    warn(event) {
      if (this.waiting.length || this.rows.some((row) => !row.error)) event.preventDefault();
    },
    add(files) {
      for (const file of files.slice(0, MAX_FILES)) {
        if (this.maxBytes && file.size > this.maxBytes) {
          const limit = Math.floor(this.maxBytes / 1e6);
          this.show(file.name, null, `This file has ${Math.ceil(file.size / 1e6)} MB; at most ${limit} MB are accepted (MAX_UPLOAD_MB).`);
        } else {
          this.waiting.push(Vue.markRaw(file));
        }
      }
      if (files.length > MAX_FILES) {
        const rest = files.length - MAX_FILES;
        this.show(`${rest} more files`, null, "So many at once are better added with: localmind ingest FOLDER");
      }
      this.pump();
    },
    show(name, file, error = "") {
      this.rows.push({ key: this.next++, name, file, error, share: 0 });
      return this.rows[this.rows.length - 1];
    },
    drop(row) {
      this.rows = this.rows.filter((other) => other.key !== row.key);
    },
    again(row) {
      this.drop(row);
      this.waiting.push(row.file);
      this.pump();
    },
    pump() {
      while (this.waiting.length && this.rows.filter((row) => !row.error).length < AT_ONCE) this.send(this.waiting.shift());
    },
    send(file) {
      const row = this.show(file.name, file);
      const request = new XMLHttpRequest();
      const body = new FormData();
      body.append("file", file, file.name);
      request.open("POST", this.url);
      request.upload.onprogress = (event) => (row.share = event.lengthComputable ? event.loaded / event.total : 0);
      request.onerror = () => (row.error = "The service could not be reached while this file was sent.");
      request.onload = () => {
        const answer = parsed(request.responseText);
        if (request.status >= 200 && request.status < 300 && Array.isArray(answer.sources)) {
          this.drop(row);
          for (const source of answer.sources) this.$emit("accepted", { name: file.name, ...source });
        } else {
          row.error = answer.detail || `The service refused this file (${request.status}).`;
        }
      };
      request.onloadend = () => this.pump();
      request.send(body);
    },
  },
};

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

async function filesOf(entries) {
  const files = [];
  const folders = [...entries];
  while (folders.length && files.length <= MAX_FILES) {
    const entry = folders.shift();
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file && !file.name.startsWith(".")) files.push(file);
    } else if (entry.isDirectory) {
      folders.push(...(await children(entry)));
    }
  }
  return files;
}

async function children(folder) {
  // A reader gives some of the entries at a time, and none at the end.
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return found;
    found.push(...some);
  }
}
