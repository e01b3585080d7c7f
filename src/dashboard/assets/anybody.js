// What a page can do that is for everybody: the menu of narrow windows and the theme, and no shortcuts.
import { bindMenu, bindTheme } from "./frame.js";

bindMenu();
bindTheme();
