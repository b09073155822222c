"""Rules of model providers and the tools around them: keys that spend money and read prompts."""

from orchestra_creds.scanner.rule import LEAD, Rule, Severity
from orchestra_creds.scanner.rulebook.shapes import URLSAFE, UUID, UUID_SAMPLE, prefix_rule, vendor_rule

_OPENAI = "OpenAI API reference: Authentication, project and admin keys"
_ANTHROPIC = "Anthropic Docs: API keys; Admin API"
_SPENT = "and check usage and cost"
_MARKED = r"[\w-]{20,120}T3BlbkFJ[\w-]{20,120}"


def _openai(id: str, description: str, kind: str, severity: Severity, where: str) -> Rule:  # noqa: A002  the rule's own word
    """The rule of an OpenAI key of one kind; every one carries the base64 of the provider's name in its middle."""
    return prefix_rule(
        id,
        description,
        f"sk-{kind}-",
        _MARKED,
        severity=severity,
        remedy=f"Delete it under {where} {_SPENT}.",
        source=_OPENAI,
        examples=(f"sk-{kind}-{{b64u:74}}T3BlbkFJ{{b64u:74}}", f"sk-{kind}-{{b64u:58}}T3BlbkFJ{{b64u:58}}"),
        counter_examples=(f"sk-{kind}-{{b64u:120}}", f"sk-{kind}-{{b64u:8}}T3BlbkFJ{{b64u:8}}"),
        tail=URLSAFE,
        longest=272,
        entropy=3.5,
    )


def _anthropic(id: str, description: str, kind: str, body: str, example: str, severity: Severity, where: str) -> Rule:  # noqa: A002  the rule's own word; one row of a table
    """The rule of an Anthropic key of one kind."""
    return prefix_rule(
        id,
        description,
        f"sk-ant-{kind}-",
        body,
        severity=severity,
        remedy=f"Delete it under {where} {_SPENT}.",
        source=_ANTHROPIC,
        examples=(f"sk-ant-{kind}-{example}",),
        counter_examples=(f"sk-ant-{kind}-{{b64u:40}}",),
        tail=URLSAFE,
        longest=160,
        entropy=3.5,
    )


_LARGE = (
    _openai("openai-project-key", "OpenAI project API key", "proj", Severity.HIGH, "the project's API keys"),
    _openai(
        "openai-service-account-key", "OpenAI service account key", "svcacct", Severity.HIGH, "the project's API keys"
    ),
    _openai("openai-admin-key", "OpenAI admin key", "admin", Severity.CRITICAL, "Organization > Admin keys"),
    _openai("openai-unassigned-key", "OpenAI API key (no project)", "None", Severity.HIGH, "the user's API keys"),
    Rule(
        id="openai-user-key",
        description="OpenAI user API key (old form)",
        pattern=LEAD + r"(sk-[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20})\b",
        severity=Severity.HIGH,
        remedy=f"Delete it under the user's API keys {_SPENT}.",
        source=_OPENAI,
        examples=("sk-{b62:20}T3BlbkFJ{b62:20}",),
        counter_examples=("sk-{b62:48}", "sk-{b62:19}T3BlbkFJ{b62:20}"),
        group=1,
        keywords=("t3blbkfj",),
        longest=64,
        entropy=3.5,
        prefix="sk-",
        check="token",
    ),
    _anthropic(
        "anthropic-api-key",
        "Anthropic API key",
        "api03",
        r"[\w-]{93}AA",
        "{b64u:93}AA",
        Severity.HIGH,
        "Console > API keys",
    ),
    _anthropic(
        "anthropic-admin-key",
        "Anthropic admin key",
        "admin01",
        r"[\w-]{93}AA",
        "{b64u:93}AA",
        Severity.CRITICAL,
        "Console > Admin keys",
    ),
    _anthropic(
        "anthropic-oauth-token",
        "Anthropic OAuth access token",
        "oat01",
        r"[\w-]{80,110}",
        "{b64u:95}",
        Severity.HIGH,
        "Account > Active sessions",
    ),
    _anthropic(
        "anthropic-refresh-token",
        "Anthropic OAuth refresh token",
        "ort01",
        r"[\w-]{80,110}",
        "{b64u:95}",
        Severity.HIGH,
        "Account > Active sessions",
    ),
    _anthropic(
        "anthropic-session-key",
        "Anthropic session key",
        "sid01",
        r"[\w-]{80,130}",
        "{b64u:95}AA",
        Severity.HIGH,
        "Account > Active sessions",
    ),
)


def _key(
    id: str,  # noqa: A002  the rule's own word
    provider: str,
    prefix: str,
    body: str,
    examples: tuple[str, ...],
    counter_examples: tuple[str, ...],
    source: str,
    *,
    where: str = "API keys",
    tail: str = r"\b",
    check: str = "token",
    longest: int = 128,
    severity: Severity = Severity.HIGH,
    entropy: float = 3.0,
) -> Rule:
    """The rule of a provider's key with a prefix; all are revoked on the provider's key page."""
    return prefix_rule(
        id,
        f"{provider} API key",
        prefix,
        body,
        severity=severity,
        remedy=f"Delete it under {where} in the {provider} settings {_SPENT}.",
        source=source,
        examples=tuple(prefix + example for example in examples),
        counter_examples=tuple(prefix + example for example in counter_examples),
        tail=tail,
        check=check,
        longest=longest,
        entropy=entropy,
    )


def _vendor_key(
    id: str,  # noqa: A002  the rule's own word
    provider: str,
    vendors: tuple[str, ...],
    body: str,
    examples: tuple[str, ...],
    counter_examples: tuple[str, ...],
    source: str,
    *,
    check: str = "token",
    entropy: float = 3.0,
    tail: str = r"\b",
    longest: int = 320,
) -> Rule:
    """The rule of a provider's key that only the name before it gives away."""
    return vendor_rule(
        id,
        f"{provider} API key",
        vendors,
        body,
        severity=Severity.HIGH,
        remedy=f"Delete it under API keys in the {provider} settings {_SPENT}.",
        source=source,
        examples=examples,
        counter_examples=counter_examples,
        check=check,
        entropy=entropy,
        tail=tail,
        longest=longest,
    )


# One row a provider.
# fmt: off
_PREFIXED = (
    _key("huggingface-access-token", "Hugging Face", "hf_", r"[0-9A-Za-z]{34}", ("{letter:34}", "{b62:34}"), ("{letter:33}", "hub_download_with_a_long_function_name"), "Hugging Face Docs: User access tokens", where="Access tokens"),
    _key("huggingface-organization-token", "Hugging Face organization", "api_org_", r"[0-9A-Za-z]{34}", ("{letter:34}",), ("{letter:20}",), "Hugging Face Docs: User access tokens", where="Access tokens"),
    _key("replicate-api-token", "Replicate", "r8_", r"[0-9A-Za-z]{37}", ("{b62:37}",), ("{b62:36}",), "Replicate Docs: API tokens"),
    _key("groq-api-key", "Groq", "gsk_", r"[0-9A-Za-z]{52}", ("{b62:52}",), ("{b62:51}",), "Groq Docs: API keys"),
    _key("perplexity-api-key", "Perplexity", "pplx-", r"[0-9A-Za-z]{48}", ("{b62:48}",), ("{b62:40}",), "Perplexity Docs: API key management"),
    _key("xai-api-key", "xAI", "xai-", r"[0-9A-Za-z]{80}", ("{b62:80}",), ("{b62:79}",), "xAI Docs: API keys"),
    _key("elevenlabs-api-key", "ElevenLabs", "sk_", r"[0-9a-f]{48}", ("{hex:48}",), ("{hex:47}",), "ElevenLabs Docs: Authentication"),
    _key("langsmith-personal-token", "LangSmith personal", "lsv2_pt_", r"[0-9a-f]{32}_[0-9a-f]{10}", ("{hex:32}_{hex:10}",), ("{hex:32}",), "LangSmith Docs: API keys"),
    _key("langsmith-service-key", "LangSmith service", "lsv2_sk_", r"[0-9a-f]{32}_[0-9a-f]{10}", ("{hex:32}_{hex:10}",), ("{hex:32}_{hex:9}",), "LangSmith Docs: API keys"),
    _key("pinecone-api-key", "Pinecone", "pcsk_", r"[0-9A-Za-z]{5,6}_[0-9A-Za-z]{63}", ("{b62:6}_{b62:63}",), ("{b62:6}_{b62:40}",), "Pinecone Docs: Manage API keys"),
    _key("openrouter-api-key", "OpenRouter", "sk-or-v1-", r"[0-9a-f]{64}", ("{hex:64}",), ("{hex:63}",), "OpenRouter Docs: API authentication"),
    _key("cerebras-api-key", "Cerebras", "csk-", r"[0-9a-z]{48}", ("{l36:48}",), ("{l36:47}",), "Cerebras Inference Docs: API keys", check="mixed"),
    _key("voyage-api-key", "Voyage AI", "pa-", r"[\w-]{43}", ("{b64u:43}",), ("{b64u:30}", "{lower:43}"), "Voyage AI Docs: API key", tail=URLSAFE, check="mixed-case", entropy=3.8),
    _key("nvidia-api-key", "NVIDIA", "nvapi-", r"[\w-]{64}", ("{b64u:64}",), ("{b64u:60}",), "NVIDIA NIM Docs: API key", tail=URLSAFE),
    _key("tavily-api-key", "Tavily", "tvly-", r"(?:dev-|prod-)?[0-9A-Za-z-]{32,48}", ("{b62:32}", "dev-{b62:32}"), ("{b62:20}",), "Tavily Docs: API key", tail=URLSAFE, check="mixed"),
    _key("jina-api-key", "Jina AI", "jina_", r"[0-9a-f]{32}[\w-]{28}", ("{hex:32}{b62:28}",), ("{hex:32}",), "Jina AI: API key", tail=URLSAFE),
    _key("together-api-key", "Together AI", "tgp_v1_", r"[\w-]{43}", ("{b64u:43}",), ("{b64u:30}",), "Together AI Docs: Authentication", tail=URLSAFE),
    _key("fireworks-api-key", "Fireworks AI", "fw_", r"[0-9A-Za-z]{22,24}", ("{b62:22}", "{b62:24}"), ("{b62:16}", "write_the_whole_thing"), "Fireworks AI Docs: API keys", check="mixed-case", entropy=3.4),
    _key("weights-and-biases-api-key", "Weights & Biases", "wandb_v1_", r"[0-9A-Za-z_]{77}", ("{b62:22}_{b62:54}",), ("{b62:40}",), "Weights & Biases Docs: API keys"),
    _key("llamacloud-api-key", "LlamaCloud", "llx-", r"[0-9A-Za-z]{48}", ("{b62:48}",), ("{b62:40}",), "LlamaIndex Docs: LlamaCloud API key"),
    _key("firecrawl-api-key", "Firecrawl", "fc-", r"[0-9a-f]{32}", ("{hex:32}",), ("{hex:30}",), "Firecrawl Docs: Authentication", entropy=2.8),
    _key("e2b-api-key", "E2B", "e2b_", r"[0-9a-f]{40}", ("{hex:40}",), ("{hex:39}",), "E2B Docs: API key", entropy=2.8),
    _key("runpod-api-key", "RunPod", "rpa_", r"[0-9A-Z]{40,44}[0-9a-z]{0,6}", ("{u36:40}{l36:6}",), ("{u36:20}",), "RunPod Docs: API keys"),
    _key("langfuse-secret-key", "Langfuse", "sk-lf-", UUID, (UUID_SAMPLE,), ("{hex:32}",), "Langfuse Docs: API keys"),
    _key("helicone-api-key", "Helicone", "sk-helicone-", r"[0-9a-z-]{20,60}", ("{l36:7}-{l36:7}-{l36:7}-{l36:7}",), ("{l36:12}",), "Helicone Docs: Authentication", tail=URLSAFE, check="mixed"),
    _key("cursor-api-key", "Cursor", "key_", r"[0-9a-f]{64}", ("{hex:64}",), ("{hex:40}",), "Cursor Docs: API keys"),
    _key("nomic-api-key", "Nomic", "nk-", r"[\w-]{43}", ("{b64u:43}",), ("{b64u:20}", "{lower:43}"), "Nomic Atlas Docs: API keys", tail=URLSAFE, check="mixed-case", entropy=3.8),
    _key("mem0-api-key", "Mem0", "m0-", r"[0-9A-Za-z]{40}", ("{b62:40}",), ("{b62:20}",), "Mem0 Docs: API keys", check="mixed-case", entropy=3.8),
    _key("promptlayer-api-key", "PromptLayer", "pl_", r"[0-9a-f]{32}", ("{hex:32}",), ("{hex:31}",), "PromptLayer Docs: API keys", entropy=2.8),
    _key("modal-token-id", "Modal token id", "ak-", r"[0-9A-Za-z]{22}", ("{b62:22}",), ("{b62:20}",), "Modal Docs: Tokens", check="mixed-case", severity=Severity.MEDIUM, entropy=3.4),
    _key("modal-token-secret", "Modal token secret", "as-", r"[0-9A-Za-z]{22}", ("{b62:22}",), ("{b62:20}",), "Modal Docs: Tokens", check="mixed-case", entropy=3.4),
    _key("neptune-api-token", "Neptune", "eyJhcGlfYWRkcmVzcyI6", r"[0-9A-Za-z+/_-]{60,400}={0,2}", ("{b64:120}",), ("{b64:20}",), "Neptune Docs: API token", tail=r"(?:[^0-9A-Za-z+/=_-]|$)", longest=440),
    _key("anyscale-api-key", "Anyscale", "esecret_", r"[0-9a-z]{26}", ("{l36:26}",), ("{l36:20}",), "Anyscale Docs: API keys", check="mixed"),
    _key("friendli-access-token", "Friendli", "flp_", r"[0-9A-Za-z]{40,50}", ("{b62:46}",), ("{b62:20}",), "Friendli Docs: Personal access tokens"),
    _key("litellm-virtual-key", "LiteLLM", "sk-litellm-", r"[\w-]{20,64}", ("{b62:32}",), ("{b62:10}",), "LiteLLM Docs: Virtual keys", tail=URLSAFE, check="mixed"),
)

_NAMED = (
    _vendor_key("wandb-legacy-api-key", "Weights & Biases (old form)", ("wandb", "weights_and_biases"), r"[0-9a-f]{40}", ("WANDB_API_KEY={hex:40}",), ("WANDB_RUN_SHA={hex:40}",), "Weights & Biases Docs: API keys", entropy=2.8),
    _vendor_key("mistral-api-key", "Mistral AI", ("mistral",), r"[0-9A-Za-z]{32}", ("MISTRAL_API_KEY={b62:32}",), ("MISTRAL_API_KEY={b62:20}",), "Mistral AI Docs: API keys", check="mixed"),
    _vendor_key("cohere-api-key", "Cohere", ("cohere", "co_api"), r"[0-9A-Za-z]{40}", ("COHERE_API_KEY={b62:40}", "CO_API_KEY={b62:40}"), ("COHERE_API_KEY={b62:30}",), "Cohere Docs: API keys", check="mixed-case"),
    _vendor_key("deepseek-api-key", "DeepSeek", ("deepseek",), r"sk-[0-9a-f]{32}", ("DEEPSEEK_API_KEY=sk-{hex:32}",), ("DEEPSEEK_API_KEY={hex:20}",), "DeepSeek API Docs: Your first API call", entropy=2.8),
    _vendor_key("dashscope-api-key", "Alibaba Model Studio", ("dashscope", "qwen", "bailian"), r"sk-[0-9a-f]{32}", ("DASHSCOPE_API_KEY=sk-{hex:32}",), ("DASHSCOPE_API_KEY=sk-{hex:20}",), "Alibaba Cloud Model Studio: Get an API key", entropy=2.8),
    _vendor_key("moonshot-api-key", "Moonshot AI", ("moonshot", "kimi"), r"sk-[0-9A-Za-z]{48}", ("MOONSHOT_API_KEY=sk-{b62:48}",), ("MOONSHOT_API_KEY=sk-{b62:30}",), "Moonshot AI Docs: API keys"),
    _vendor_key("stability-api-key", "Stability AI", ("stability", "dreamstudio"), r"sk-[0-9A-Za-z]{48}", ("STABILITY_API_KEY=sk-{b62:48}",), ("STABILITY_API_KEY=sk-{b62:40}",), "Stability AI: Authentication"),
    _vendor_key("zhipu-api-key", "Zhipu AI", ("zhipu", "bigmodel", "glm_api", "zai_api"), r"[0-9a-f]{32}\.[0-9A-Za-z]{16}", ("ZHIPUAI_API_KEY={hex:32}.{b62:16}",), ("ZHIPUAI_API_KEY={hex:32}",), "Zhipu AI Docs: API keys"),
    _vendor_key("together-legacy-api-key", "Together AI (old form)", ("together",), r"[0-9a-f]{64}", ("TOGETHER_API_KEY={hex:64}",), ("TOGETHER_API_KEY={hex:60}",), "Together AI Docs: Authentication"),
    _vendor_key("assemblyai-api-key", "AssemblyAI", ("assemblyai", "assembly_ai", "aai_api"), r"[0-9a-f]{32}", ("ASSEMBLYAI_API_KEY={hex:32}",), ("ASSEMBLYAI_API_KEY={hex:31}",), "AssemblyAI Docs: API keys", entropy=2.8),
    _vendor_key("deepgram-api-key", "Deepgram", ("deepgram",), r"[0-9a-f]{40}", ("DEEPGRAM_API_KEY={hex:40}",), ("DEEPGRAM_API_KEY={hex:32}",), "Deepgram Docs: Create API keys", entropy=2.8),
    _vendor_key("deepinfra-api-key", "DeepInfra", ("deepinfra",), r"[0-9A-Za-z]{32}", ("DEEPINFRA_API_KEY={b62:32}",), ("DEEPINFRA_API_KEY={b62:16}",), "DeepInfra Docs: API keys", check="mixed"),
    _vendor_key("baseten-api-key", "Baseten", ("baseten",), r"[0-9A-Za-z]{8}\.[0-9A-Za-z]{32}", ("BASETEN_API_KEY={b62:8}.{b62:32}",), ("BASETEN_API_KEY={b62:8}.{b62:20}",), "Baseten Docs: API keys"),
    _vendor_key("ai21-api-key", "AI21 Labs", ("ai21",), r"[0-9A-Za-z]{32}", ("AI21_API_KEY={b62:32}",), ("AI21_API_KEY={b62:20}",), "AI21 Docs: API keys", check="mixed"),
    _vendor_key("pinecone-legacy-api-key", "Pinecone (old form)", ("pinecone",), UUID, (f"PINECONE_API_KEY={UUID_SAMPLE}",), ("PINECONE_API_KEY={hex:20}",), "Pinecone Docs: Manage API keys", entropy=2.8),
    _vendor_key("exa-api-key", "Exa", ("exa_api", "exa_search", "exa-api"), UUID, (f"EXA_API_KEY={UUID_SAMPLE}",), ("EXA_API_KEY={hex:32}",), "Exa Docs: API keys", entropy=2.8),
    _vendor_key("weaviate-api-key", "Weaviate", ("weaviate", "wcs_api", "wcd_api"), r"[0-9A-Za-z]{36,40}", ("WEAVIATE_API_KEY={b62:36}",), ("WEAVIATE_API_KEY={b62:20}",), "Weaviate Docs: API keys", check="mixed-case"),
    _vendor_key("qdrant-api-key", "Qdrant", ("qdrant",), r"(?:eyJ[\w-]{10,40}\.eyJ[\w-]{10,80}\.[\w-]{43}|[\w-]{54})", ("QDRANT_API_KEY={b64u:54}", "QDRANT_API_KEY={signed:1}"), ("QDRANT_API_KEY={b64u:20}",), "Qdrant Cloud Docs: Authentication", tail=URLSAFE, check="mixed-case"),
    _vendor_key("serpapi-api-key", "SerpApi", ("serpapi", "serp_api"), r"[0-9a-f]{64}", ("SERPAPI_API_KEY={hex:64}",), ("SERPAPI_API_KEY={hex:40}",), "SerpApi Docs: API key"),
    _vendor_key("clarifai-access-token", "Clarifai", ("clarifai",), r"[0-9a-f]{32}", ("CLARIFAI_PAT={hex:32}",), ("CLARIFAI_PAT={hex:20}",), "Clarifai Docs: Personal access tokens", entropy=2.8),
    _vendor_key("roboflow-api-key", "Roboflow", ("roboflow",), r"[0-9A-Za-z]{20}", ("ROBOFLOW_API_KEY={b62:20}",), ("ROBOFLOW_API_KEY={b62:12}",), "Roboflow Docs: API keys", check="mixed"),
    _vendor_key("comet-api-key", "Comet", ("comet", "opik"), r"[0-9A-Za-z]{25}", ("COMET_API_KEY={b62:25}",), ("COMET_API_KEY={b62:20}",), "Comet Docs: API key", check="mixed"),
)
# fmt: on

RULES: tuple[Rule, ...] = (*_LARGE, *_PREFIXED, *_NAMED)
