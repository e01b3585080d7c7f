// What pages can do for whoever is not signed in.
import { bindCopy } from "./copy.js";

bindCopy(document);
