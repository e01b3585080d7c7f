// What every page can do: the menu of narrow windows, the theme, copying, and the keyboard.
import { bindCopy } from "./copy.js";
import { bindDialogs } from "./dialog.js";
import { bindMenu, bindTheme } from "./frame.js";
import { bindKeyboard } from "./keyboard.js";

bindMenu();
bindTheme();
bindCopy(document);
bindDialogs();
bindKeyboard();
