/** What the page says, in the language that the browser asks for. */
const TEXTS = {
  en: {
    ask: "Describe a picture: a dog on a beach", choose: "By a picture", index: "Index", dark: "Light or dark",
    found: (n, ms) => `${n} pictures, ${ms} ms`, browsing: "All pictures, newest first", none: "No picture was found.",
    cut: "below this nothing fits well", missing: (w) => `${w}: not found`, alike: "More like this", less: "Less like this",
    like: "like this picture", notLike: "not like this picture", remove: "Remove", path: "Path", taken: "Taken", size: "Size", camera: "Camera",
    fits: "Fits", tags: "Tags", copy: "Copy path", copied: "Copied", open: "Open folder", download: "Download",
    pictures: (n, model) => `${n} pictures, model ${model ?? "none"}`, folder: "A folder on this machine", add: "Add folder",
    again: "Look again", working: (d, t) => `${d} of ${t ?? "?"} files`, ended: (s) => `Indexing: ${s}`, failures: (n) => `${n} files could not be read`,
    token: "Token", enter: "Enter", words: "Show where a word looks", filters: "Filters", more: (n) => `+${n} like this`,
    empty: "Nothing is indexed yet: add a folder.", close: "Close",
  },
  de: {
    ask: "Beschreiben Sie ein Bild: a dog on a beach", choose: "Mit einem Bild", index: "Index", dark: "Hell oder dunkel",
    found: (n, ms) => `${n} Bilder, ${ms} ms`, browsing: "Alle Bilder, neueste zuerst", none: "Kein Bild gefunden.",
    cut: "darunter passt nichts gut", missing: (w) => `${w}: nicht gefunden`, alike: "Mehr davon", less: "Weniger davon",
    like: "ähnlich diesem Bild", notLike: "nicht wie dieses Bild", remove: "Entfernen", path: "Pfad", taken: "Aufgenommen", size: "Größe", camera: "Kamera",
    fits: "Passt", tags: "Schlagwörter", copy: "Pfad kopieren", copied: "Kopiert", open: "Ordner öffnen", download: "Herunterladen",
    pictures: (n, model) => `${n} Bilder, Modell ${model ?? "keins"}`, folder: "Ein Ordner auf diesem Rechner", add: "Ordner aufnehmen",
    again: "Neu durchsehen", working: (d, t) => `${d} von ${t ?? "?"} Dateien`, ended: (s) => `Aufnahme: ${s}`, failures: (n) => `${n} Dateien nicht lesbar`,
    token: "Token", enter: "Anmelden", words: "Zeigen, wohin ein Wort schaut", filters: "Filter", more: (n) => `+${n} ähnliche`,
    empty: "Noch ist nichts aufgenommen: fügen Sie einen Ordner hinzu.", close: "Schließen",
  },
  zh: {
    ask: "描述一张图片:a dog on a beach", choose: "以图搜图", index: "索引", dark: "浅色或深色",
    found: (n, ms) => `${n} 张图片,${ms} 毫秒`, browsing: "全部图片,最新在前", none: "没有找到图片。",
    cut: "以下图片不太符合", missing: (w) => `${w}:未找到`, alike: "更多类似", less: "减少类似",
    like: "类似此图", notLike: "不像此图", remove: "移除", path: "路径", taken: "拍摄时间", size: "尺寸", camera: "相机",
    fits: "符合度", tags: "标签", copy: "复制路径", copied: "已复制", open: "打开文件夹", download: "下载",
    pictures: (n, model) => `${n} 张图片,模型 ${model ?? "无"}`, folder: "本机上的文件夹", add: "添加文件夹",
    again: "重新扫描", working: (d, t) => `${d} / ${t ?? "?"} 个文件`, ended: (s) => `索引:${s}`, failures: (n) => `${n} 个文件无法读取`,
    token: "令牌", enter: "登录", words: "显示词语所在位置", filters: "筛选", more: (n) => `+${n} 张类似`,
    empty: "还没有索引:请添加文件夹。", close: "关闭",
  },
};
const asked = (navigator.language || "en").slice(0, 2);
export const language = asked in TEXTS ? asked : "en";
export const text = TEXTS[language];
