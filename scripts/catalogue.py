"""Build the embedded default price catalogue, src/catalogue/catalogue.json.

Prices, dates, tiers and match rules come from genai-prices; context windows, output limits and the reasoning flag from
LiteLLM's model map. Both are MIT, pinned by version and hash, and read as data: nothing of either package is run. The
wheel of genai-prices is used, not its npm twin, because it writes prices as exact decimals and carries a newer release.

What must hold, in this order: never a price that is too low, then never a wrong one, then as many models as possible.
A model that is missing is only refused until an operator adds it; a model that is wrong is billed wrongly.

- No floating point: decimals stay strings or `Decimal`. More than nine decimals (the ledger's nano-dollar) round up.
- Names are exact ids; there are no prefixes and no patterns. An `equals` of a match rule under `or` becomes an alias.
  `starts_with`, `contains` and `regex` never do: `gpt-4o` as a prefix would price `gpt-4o-audio-preview`. Instead the
  rules are run over the ids that LiteLLM knows for the provider, and an id they give to a model becomes its alias only
  if LiteLLM's own prices for it are the same. An id that an earlier rule claims is not an alias of a later model.
- LiteLLM is a second witness. An id for which it has a dearer rate of any kind, or a dearer tier, is left out, and
  with it the ids of the same model that LiteLLM does not know. It knows nothing of OpenRouter, whose listing shows the
  cheapest of several routes: from there only models that their vendor sells himself, at a price that is not higher.
- A price has one condition, the UTC day on which it starts. Time-of-day prices become the dearest of each kind, so
  DeepSeek off-peak is billed as peak. Service tiers, batch and fast modes are left out: Nemo asks for the default tier.
- A tier states every token rate and applies to the whole call once its input tokens, cached ones included, exceed the
  threshold. An absent rate: cached input costs plain input; audio and one-hour cache writes have no price.
- A cache write cheaper than plain input is a surcharge (Gemini's cache storage) or a forgotten tier: input is added.
- What tokens cannot express is left out: prices per image, page, hour or character, models that always search unless
  they have a fee per request, several agents behind one call, resellers' Claude without a cache-write price, models
  whose audio is known to be dearer elsewhere. Fees of optional tools are not here; Nemo holds tools separately.
- Limits: the larger of the two sources. Too large a window only enlarges holds for content whose tokens are unknown,
  too small a one makes holds too small. A provider's own listing is asked first, then all listings of a model of that
  name; an output limit is capped by the window. Still unknown is null, and not priceable.
- Providers speak an OpenAI-compatible API, or are Anthropic or Google (Gemini API, not Vertex). Left out: Bedrock,
  Azure and Databricks (price by region or under names customers choose), Copilot and Cursor (plans), Zhipu (billed in
  yuan), QuicksilverPro (a reseller whose prices move weekly, threefold at times), and what has no chat.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

AS_OF = "2026-11-22"  # the day on which LiteLLM's undated prices are compared with ours
PINS = {
    "genai-prices": ("0.2.3", "56976ce2b04ec206117f7d0e53f4849211a6724ab3a12119afec304eba63ee25"),
    "litellm": ("1.109.1", "1c8b4dd671fa0cd0850aa751678704ff77e595fb1e6085b2dc3be39ee19bdaaf"),
}
OUT = Path("src/catalogue")

# genai-prices provider -> the providers in LiteLLM's map that sell the same ids, as `id` or as `provider/id`.
PROVIDERS = {
    "anthropic": ["anthropic"],
    "arcee": [],
    "avian": [],
    "baseten": ["baseten"],
    "cerebras": ["cerebras"],
    "cloudflare": ["cloudflare"],
    "cohere": ["cohere_chat", "cohere"],
    "deepseek": ["deepseek"],
    "doubleword": [],
    "fireworks": ["fireworks_ai"],
    "google": ["gemini", "vertex_ai-language-models"],
    "groq": ["groq"],
    "huggingface_cerebras": [],
    "huggingface_fireworks-ai": [],
    "huggingface_groq": ["groq"],
    "huggingface_hyperbolic": ["hyperbolic"],
    "huggingface_nebius": ["nebius"],
    "huggingface_novita": ["novita"],
    "huggingface_nscale": ["nscale"],
    "huggingface_ovhcloud": ["ovhcloud"],
    "huggingface_publicai": ["publicai"],
    "huggingface_sambanova": ["sambanova"],
    "huggingface_together": ["together_ai"],
    "meta": ["meta", "meta_llama"],
    "minimax": ["minimax"],
    "mistral": ["mistral", "codestral"],
    "modal": [],
    "moonshotai": ["moonshot"],
    "novita": ["novita"],
    "openai": ["openai", "text-completion-openai"],
    "openrouter": [],
    "ovhcloud": ["ovhcloud"],
    "perplexity": ["perplexity"],
    "together": ["together_ai"],
    "x-ai": ["xai"],
    "zai": ["zai"],
}
OPENROUTER_VENDORS = ["anthropic", "cohere", "google", "openai", "x-ai"]
CHAT_MODES = {"chat", "responses", "completion"}

# genai-prices key -> our rate, LiteLLM's key, and the rate that is charged where this one is absent.
RATES = {
    "input_mtok": ("input", "input_cost_per_token", None),
    "output_mtok": ("output", "output_cost_per_token", None),
    "cache_read_mtok": ("cache_read", "cache_read_input_token_cost", "input"),
    "cache_write_mtok": ("cache_write", "cache_creation_input_token_cost", "input"),
    "cache_write_1h_mtok": ("cache_write_1h", "cache_creation_input_token_cost_above_1hr", None),
    "input_audio_mtok": ("input_audio", "input_cost_per_audio_token", "input"),
    "cache_audio_read_mtok": ("cache_read_audio", "cache_read_input_audio_token_cost", "input_audio"),
    "output_audio_mtok": ("output_audio", "output_cost_per_audio_token", "output"),
}
ORDER = [ours for ours, _, _ in RATES.values()]
TOOL_FEES = {"web_searches_kcount", "storage_searches_kcount"}

# Parts of an id. The first two are tolerated where the fee they hint at has a price.
SEARCHES = re.compile(r"sonar|online|(?<!re)search|deep-research", re.I)
AUDIO = re.compile(r"audio|omni|voxtral|multimodal", re.I)
NOT_CHAT = re.compile(
    r"image|realtime|(^|[-/])live([-/]|$)|tts|transcri|whisper|voice|embed|moderation|rerank|ocr|multi-agent|streaming"
    r"|/router$|:batch$|^ft:|\.ft-",
    re.I,
)
# Second-hand prices: the importer itself says that it did not find them at the provider.
HEARSAY = re.compile(r"imported from openrouter|before openai|can't find|trusting", re.I)
# Names of reasoning models; to call too many so only makes default output limits larger and reads answers to their end.
REASONS = re.compile(
    r"(^|/)(o[134]|gpt-[56]|grok-4|grok-3-mini)(?![a-z0-9])|claude-(3[-.]7|[4-9]|[a-z]+-[4-9])"
    r"|thinking|reason|[-/]r1([-.:]|$)|qwq|magistral|gpt-oss",
    re.I,
)
# As in tiktoken 0.14.0; it knows no encoding for gpt-6, so those have none here.
TOKENIZERS = [
    (re.compile(r"^(chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|o1|o3|o4-mini)(?![a-z0-9])"), "o200k_base"),
    (re.compile(r"^(gpt-4|gpt-3\.5)(?![a-z0-9])"), "cl100k_base"),
]


@dataclass
class Stats:
    """What happened on the way; printed at the end, so that an update can be judged."""

    offered: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    filled: Counter = field(default_factory=Counter)
    aliases: Counter = field(default_factory=Counter)
    disputed: dict = field(default_factory=dict)
    kept: set = field(default_factory=set)  # id() of the offers in the catalogue, which OpenRouter's are compared with


def main():
    stats = Stats()
    with tempfile.TemporaryDirectory() as tmp:
        genai, litellm = (zipfile.ZipFile(wheel) for wheel in download(Path(tmp)))
        providers = read_genai(genai)
        listings = json.loads(
            text_of(litellm, "litellm/model_prices_and_context_window_backup.json"), parse_float=Decimal
        )
        licences = {"genai-prices": licence(genai), "litellm": mit_part(licence(litellm))}
    del listings["sample_spec"]
    elsewhere = Elsewhere(providers, listings)
    offers = {provider["id"]: provider["models"] for provider in providers}
    openrouter_last = sorted(PROVIDERS, key="openrouter".__eq__)
    sellers = [Seller(provider, offers, listings, elsewhere, stats) for provider in openrouter_last]
    models = [model for seller in sellers for model in seller.models()]
    models.sort(key=lambda m: (m["provider"], m["model"]))
    write(models, licences)
    report(models, stats)


# --- reading the sources -------------------------------------------------------------------------------------------


def download(into):
    """Fetch the pinned wheels; pip checks the hashes. The platform is fixed so that everybody gets the same file."""
    pins = into / "pins.txt"
    pins.write_text("".join(f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest) in PINS.items()))
    target = ["--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--abi=abi3"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *target]
    subprocess.run([*pip, "--dest", str(into), "-r", str(pins)], check=True)
    return [next(into.glob(name.replace("-", "_") + "-*.whl")) for name in PINS]


def text_of(wheel, path):
    return wheel.read(path).decode("utf-8")


def licence(wheel):
    return text_of(wheel, next(n for n in wheel.namelist() if n.endswith(".dist-info/licenses/LICENSE")))


def mit_part(text):
    """LiteLLM's licence excludes its enterprise/ directory; the model map lies outside it, under MIT."""
    preamble, mit = text.split("---\n", 1)
    if 'under the "enterprise/" directory' not in preamble or not mit.startswith("MIT License"):
        sys.exit("litellm's licence has changed: read it before using its data")
    return mit


def read_genai(wheel):
    """The list of providers in data.py, which is one literal made of constructor calls."""
    module = ast.parse(text_of(wheel, "genai_prices/data.py"))
    return next(literal(s.value) for s in module.body if isinstance(s, ast.AnnAssign) and s.target.id == "providers")


def literal(node):
    """Evaluate a literal; `Decimal('0.1')` becomes a Decimal, `date(2026, 1, 1)` a string, other calls dicts."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {literal(k): literal(v) for k, v in zip(keys, values)}
        case ast.Call(func=ast.Name(id="Decimal"), args=[text]):
            return Decimal(literal(text))
        case ast.Call(func=ast.Attribute(attr="date"), args=args):
            return "{:04}-{:02}-{:02}".format(*map(literal, args))
        case ast.Call(func=ast.Attribute(attr="time")):
            return None
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            return {"is": name, **{k.arg.rstrip("_"): literal(k.value) for k in keywords}}
    raise ValueError(f"not a literal: {ast.unparse(node)}")


# --- one provider --------------------------------------------------------------------------------------------------


class Seller:
    """The models of one provider."""

    def __init__(self, provider, offers, listings, elsewhere, stats):
        self.id, self.offers, self.elsewhere, self.stats = provider, offers[provider], elsewhere, stats
        self.vendors = {vendor: offers[vendor] for vendor in OPENROUTER_VENDORS}
        self.listed = defaultdict(list)  # lower-case id -> LiteLLM's entries
        self.spelled = {}  # lower-case id -> the id as LiteLLM spells it
        for key, entry in sorted(listings.items()):
            prefix, slash, name = key.partition("/")
            name = name if prefix in PROVIDERS[self.id] else key if not slash else None
            if name and entry.get("litellm_provider") in PROVIDERS[self.id]:
                self.listed[name.lower()].append(entry)
                self.spelled[name.lower()] = name
        self.claimed = defaultdict(list)  # id() of an offer -> listed ids that the match rules give to it
        for name, spelling in self.spelled.items():
            if offer := owner(self.offers, name):
                self.claimed[id(offer)].append(spelling)

    def models(self):
        for offer in self.offers:
            self.stats.offered[self.id] += 1
            model, reason = self.model(offer)
            if model:
                self.stats.kept.add(id(offer))
                yield model
            else:
                self.stats.dropped[reason] += 1

    def model(self, offer):
        """The catalogue's entry for an offer of genai-prices, or why there is none."""
        prices = periods(offer.get("prices", []))
        if not all({"input", "output"} <= rates.keys() for _, rates in prices) or not prices:
            return None, "no input and output price (free, embedding, or priced by something else)"
        if reason := self.unfit(offer, prices):
            return None, reason
        names = self.names(offer, prices)
        if not names:
            return None, "no exact id left"
        primary = offer["id"] if offer["id"] in names else names[0]
        aliases = sorted(set(names) - {primary})
        self.stats.aliases[self.id] += len(aliases)
        window, output, reasoning = self.limits([primary, *aliases], offer)
        return {
            "provider": self.id,
            "model": primary,
            "aliases": aliases,
            "context_window": window,
            "max_output": output,
            "reasoning": reasoning,
            "tokenizer": tokenizer(primary) if self.id == "openai" else None,
            "prices": [{"from": day, **written(rates)} for day, rates in prices],
        }, None

    def unfit(self, offer, prices):
        name, known = offer["id"], set().union(*(rates for _, rates in prices))
        if "unknown" in known:
            return "priced by more than tokens"
        if is_hearsay(offer):
            return "second-hand price"
        if self.id == "google" and (not name.startswith(("gemini", "gemma")) or name.endswith("-maas")):
            return "on Vertex only"
        if self.id == "openrouter" and (reason := self.not_as_at_the_vendor(name, current(prices))):
            return reason
        if self.id != "anthropic" and "claude" in name and "cache_write" not in prices[-1][1]:
            return "a reseller's Claude without a cache-write price"
        if name.lower() not in self.listed and "input_audio" not in known and self.elsewhere.audio_is_dearer(name):
            return "audio is dearer elsewhere, and unpriced here"
        return None

    def not_as_at_the_vendor(self, name, rates):
        vendor, _, model = name.partition("/")
        found = [owner(self.vendors.get(vendor, []), form) for form in (model, model.replace(".", "-"))]
        theirs = [current(periods(offer["prices"])) for offer in found if offer and id(offer) in self.stats.kept]
        if not theirs:
            return "on OpenRouter, and the vendor's own price is not here"
        return "on OpenRouter, and dearer at the vendor" if dearer(theirs[0], rates) else None

    def names(self, offer, prices):
        """Exact ids of the offer: its own, those its rule spells out, and those LiteLLM knows and prices alike."""
        rates = current(prices)
        own = [n for n in dict.fromkeys([offer["id"], *equals(offer["match"])]) if self.is_name(n, offer, rates)]
        disputed = [n for n in own if self.is_disputed(n, rates)]
        names = [n for n in own if n not in disputed and (n.lower() in self.listed or not disputed)]
        known = {n.lower() for n in own}
        for name in self.claimed[id(offer)]:
            if name.lower() not in known and self.is_name(name, offer, rates) and self.same(name, rates):
                names += [] if self.is_disputed(name, rates) else [name]
        return names

    def is_name(self, name, offer, rates):
        if owner(self.offers, name) is not offer or NOT_CHAT.search(name):
            return False
        if (SEARCHES.search(name) and "request" not in rates) or (AUDIO.search(name) and "input_audio" not in rates):
            return False
        if self.id == "openrouter" and ("/" not in name or name.startswith("~")):
            return False  # OpenRouter's ids have a vendor; `~` marks names that move between models
        if self.id.startswith("huggingface_") and name.endswith("-fast") and not offer["id"].lower().endswith("-fast"):
            return False  # invented for every model, but Nebius's are real and dearer
        return all(entry.get("mode") in CHAT_MODES for entry in self.listed.get(name.lower(), []))

    def is_disputed(self, name, rates):
        """Does LiteLLM know a dearer rate for this id than we do?"""
        why = next(filter(None, (dearer(listed_rates(e), rates) for e in self.listed.get(name.lower(), []))), None)
        if why:
            self.stats.disputed[f"{self.id} {name}"] = why
        return why is not None

    def same(self, name, rates):
        listed = map(listed_rates, self.listed[name.lower()])
        return any(all(r in theirs and theirs[r][0] == rates[r][0] for r in ("input", "output")) for theirs in listed)

    def limits(self, names, offer):
        entries = [entry for name in names for entry in self.listed.get(name.lower(), [])]
        window = largest([offer.get("context_window"), *(e.get("max_input_tokens") for e in entries)])
        output = largest(e.get("max_output_tokens") for e in entries)
        reasoning = any(e.get("supports_reasoning") for e in entries)
        source = "genai-prices" if offer.get("context_window") else "LiteLLM" if window else ""
        self.stats.filled.update([f"window: {source}", "output: LiteLLM" if output else "output: "])
        others = [self.elsewhere.limits(name) for name in names]
        window = window or largest(w for w, _, _ in others)
        output = output or largest(o for _, o, _ in others)
        reasoning = reasoning or any(r for _, _, r in others) or any(map(reasons, names))
        return window, min(output, window) if output and window else output, reasoning


class Elsewhere:
    """All listings of a model, whoever sells it, found by the last part of its name."""

    def __init__(self, providers, listings):
        self.windows, self.outputs = defaultdict(list), defaultdict(list)
        self.reasoning, self.dear_audio = set(), set()
        for key, entry in listings.items():
            if entry.get("mode") in CHAT_MODES:
                self.add(key, entry.get("max_input_tokens"), entry.get("max_output_tokens"))
                if entry.get("supports_reasoning"):
                    self.reasoning.add(kin(key)[0])
                rates = listed_rates(entry)
                if "input_audio" in rates and rates["input_audio"][0] > rates.get("input", {0: 0})[0]:
                    self.dear_audio.add(kin(key)[0])
        for offer in (offer for provider in providers for offer in provider["models"]):
            for name in {offer["id"], *equals(offer["match"])}:
                self.add(name, offer.get("context_window"), None)
                if any("input_audio" in rates for _, rates in periods(offer.get("prices", []))):
                    self.dear_audio.add(kin(name)[0])

    def add(self, name, window, output):
        for form in kin(name):
            self.windows[form].append(window)
            self.outputs[form].append(output)

    def limits(self, name):
        """Window, output limit and reasoning of the models with this name, else of those but for the packaging."""
        close, loose = kin(name)
        window = largest(self.windows.get(close, [])) or largest(self.windows.get(loose, []))
        output = largest(self.outputs.get(close, [])) or largest(self.outputs.get(loose, []))
        return window, output, close in self.reasoning

    def audio_is_dearer(self, name):
        return kin(name)[0] in self.dear_audio


def kin(name):
    """`accounts/fireworks/models/deepseek-v3p2` is `deepseek-v3-2`; then without the ways to package a model."""
    close = name.lower().split("/")[-1].split(":")[0].split("@")[0]
    close = re.sub(r"^([a-z-]+\.)+(?=[a-z])", "", close)  # us.anthropic.claude-…
    close = re.sub(r"(?<=\d)p(?=\d)|[._]", "-", close)
    close = re.sub(r"-20\d\d-?\d\d-?\d\d(-v\d)?$", "", close)
    packaging = "fp8|fp16|bf16|nvfp4|awq|int4|int8|tee|fast|turbo|us|highspeed|ultrafast|lite|instruct|it|hf|chat"
    return close, re.sub(f"-({packaging})(?=-|$)", "", close)


# --- match rules of genai-prices -----------------------------------------------------------------------------------


def matches(rule, name):
    """As in genai-prices: case-insensitive, except for `regex`, which sees the lower-case name."""
    match rule:
        case {"is": "ClauseEquals", "equals": text}:
            return name == text.lower()
        case {"is": "ClauseStartsWith", "starts_with": text}:
            return name.startswith(text.lower())
        case {"is": "ClauseEndsWith", "ends_with": text}:
            return name.endswith(text.lower())
        case {"is": "ClauseContains", "contains": text}:
            return text.lower() in name
        case {"is": "ClauseRegex", "regex": text}:
            return re.search(text, name) is not None
        case {"is": "ClauseOr", "or": rules}:
            return any(matches(r, name) for r in rules)
        case {"is": "ClauseAnd", "and": rules}:
            return all(matches(r, name) for r in rules)
    raise ValueError(f"unknown match rule: {rule}")


def owner(offers, name):
    """The first offer whose rule matches, as in genai-prices."""
    return next((offer for offer in offers if matches(offer["match"], name.lower())), None)


def equals(rule):
    if rule["is"] == "ClauseOr":
        return [name for r in rule["or"] for name in equals(r)]
    return [rule["equals"]] if rule["is"] == "ClauseEquals" else []


# --- prices --------------------------------------------------------------------------------------------------------


def periods(prices):
    """`[(first UTC day or None, rates)]`, oldest first. In genai-prices the last entry that applies wins."""
    entries = prices if isinstance(prices, list) else [{"prices": prices}]
    entries = [((e.get("constraint") or {"is": "Always"}), rates_of(e["prices"])) for e in entries]
    days = sorted({c["start_date"] for c, _ in entries if c["is"] == "StartDateConstraint"})
    result = []
    for day in [None, *days] if entries else []:
        rates = dearest(in_force(entries, day))
        if not result or result[-1][1] != rates:
            result.append((day, rates))
    return result


def in_force(entries, day):
    """What may apply on a day: every time-of-day price, down to the first entry that always applies."""
    found = []
    for constraint, rates in reversed(entries):
        if constraint["is"] == "TimeOfDateConstraint":
            found.append(rates)
        elif constraint["is"] == "Always" or day and constraint["start_date"] <= day:
            return [*found, rates]
    return [*found, entries[0][1]]


def rates_of(prices):
    """`{rate: {threshold: dollars per million}}`, the threshold of the base price being 0."""
    rates = {}
    for key, value in prices.items():
        if key in RATES:
            tiers = value["tiers"] if isinstance(value, dict) else []
            base = value["base"] if isinstance(value, dict) else value
            rates[RATES[key][0]] = {0: nano(base), **{tier["start"]: nano(tier["price"]) for tier in tiers}}
        elif key == "requests_kcount":
            rates["request"] = {0: nano(value / 1000)}
        elif key not in TOOL_FEES | {"is"}:
            rates["unknown"] = {0: Decimal(0)}
    if "cache_write" in rates and "input" in rates:
        pairs = {at: (price_at(rates["cache_write"], at), price_at(rates["input"], at)) for at in thresholds(rates)}
        rates["cache_write"] = {at: write if write >= read else write + read for at, (write, read) in pairs.items()}
    return rates


def listed_rates(entry):
    """The same shape from an entry of LiteLLM's map."""
    rates = {}
    for ours, key, _ in RATES.values():
        tier = re.compile(re.escape(key) + r"(?:_above_(\d+)k_tokens)?")
        found = {field: tier.fullmatch(field) for field in entry}
        steps = {int(m[1] or 0) * 1000: per_million(entry[field]) for field, m in found.items() if m}
        if steps:
            rates[ours] = {0: Decimal(0), **steps}
    return rates


def dearer(theirs, ours):
    """The first rate that is dearer on their side, in words."""
    for rate, _, fallback in RATES.values():
        own = ours.get(rate) or ours.get(fallback)
        for at in thresholds({"own": own, "their": theirs[rate]}) if own and rate in theirs else []:
            if price_at(theirs[rate], at) > price_at(own, at):
                return f"{rate} {plain(price_at(own, at))} here, {plain(price_at(theirs[rate], at))} there"
    return None


def current(prices):
    return [rates for day, rates in prices if day is None or day <= AS_OF][-1]


def is_hearsay(offer):
    comment = (offer.get("price_comments") or "").lower()
    return HEARSAY.search(comment) is not None and "verified against openai" not in comment


def dearest(candidates):
    if len({frozenset(c) for c in candidates}) > 1:
        raise ValueError("prices by time of day that differ in kind")
    steps = sorted({at for rates in candidates for at in thresholds(rates)})
    dear = {rate: {at: max(price_at(c[rate], at) for c in candidates) for at in steps} for rate in candidates[0]}
    return candidates[0] if len(candidates) == 1 else dear


def thresholds(rates):
    return sorted({at for steps in rates.values() for at in steps})


def price_at(steps, at):
    return steps[max(step for step in steps if step <= at)]


def written(rates):
    """A period as it stands in the catalogue."""
    tiers = [at for at in thresholds(rates) if at]
    entry = {rate: plain(rates[rate][0]) for rate in [*ORDER, "request"] if rate in rates}
    if tiers:
        entry["tiers"] = [
            {"above_input_tokens": at, **{rate: plain(price_at(rates[rate], at)) for rate in ORDER if rate in rates}}
            for at in tiers
        ]
    return entry


def nano(dollars):
    """Rounded up to nine decimals, the ledger's nano-dollar."""
    if not dollars.is_finite() or dollars < 0:
        raise ValueError(f"not a price: {dollars}")
    return dollars.quantize(Decimal("1e-9"), rounding=ROUND_CEILING)


def plain(dollars):
    """A decimal with nine places, without exponent and trailing zeros."""
    return f"{dollars:f}".rstrip("0").rstrip(".")


def per_million(value):
    """LiteLLM's dollars per token; its map went through binary floats, so noise beyond the nano-dollar is cut off."""
    return (Decimal(value or 0) * 1_000_000).quantize(Decimal("1e-9"))


def largest(numbers):
    return max((n for n in numbers if n), default=None)


def reasons(name):
    return "non-reasoning" not in name and REASONS.search(name) is not None


def tokenizer(model):
    return next((encoding for pattern, encoding in TOKENIZERS if pattern.match(model) and "audio" not in model), None)


# --- writing -------------------------------------------------------------------------------------------------------


def write(models, licences):
    seen = Counter((m["provider"], n.lower()) for m in models for n in {a.lower() for a in [m["model"], *m["aliases"]]})
    if twice := [name for name, count in seen.items() if count > 1]:
        sys.exit(f"one id, two models: {twice}")
    labels = {"genai-prices": "genai-prices", "litellm": "litellm model map"}
    sources = [{"name": labels[name], "version": version, "licence": "MIT"} for name, (version, _) in PINS.items()]
    lines = ",\n".join(compact(model) for model in models)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "catalogue.json").write_text(f'{{"sources":{compact(sources)},\n"models":[\n{lines}\n]}}\n')
    for name, text in licences.items():
        (OUT / f"LICENSE-{name}").write_text(text)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def report(models, stats):
    complete = [m for m in models if m["context_window"] and m["max_output"]]
    print(f"{len(models)} models of {sum(stats.offered.values())}, {len(complete)} with both limits, "
          f"{sum(stats.aliases.values())} aliases, {(OUT / 'catalogue.json').stat().st_size} bytes")
    for provider, offered in sorted(stats.offered.items()):
        kept = [m for m in models if m["provider"] == provider]
        both = sum(1 for m in kept if m in complete)
        print(f"  {provider}: {len(kept)} of {offered}, {both} with both limits, {stats.aliases[provider]} aliases")
    print("left out:", *(f"  {count} {reason}" for reason, count in stats.dropped.most_common()), sep="\n")
    own = stats.filled
    for kind, limit in [("window", "context_window"), ("output", "max_output")]:
        unknown = sum(1 for m in models if not m[limit])
        print(f"{limit}: {own[kind + ': genai-prices']} genai-prices or larger, {own[kind + ': LiteLLM']} LiteLLM, "
              f"{own[kind + ': '] - unknown} listings elsewhere, {unknown} unknown")
    print("ids left out because LiteLLM is dearer:")
    print(*(f"  {name}: {why}" for name, why in stats.disputed.items()), sep="\n")


if __name__ == "__main__":
    main()
