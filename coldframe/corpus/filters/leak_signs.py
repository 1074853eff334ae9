"""The weak signs by which an agent's instructions are told from what people write: words, patterns, and their weights.

No sign names a product, and none decides alone. The weights come from a logistic regression over some four thousand
prompts of nineteen public collections and forty-five thousand good texts, rounded; docs/corpus.md says what they reach
on collections that were left out.
"""

from __future__ import annotations

import re

WORDS: dict[str, str] = {
    "user": "user user's user’s",
    "respond": "respond responds responding response responses reply replies replying answer answers answering "
    "explanation "
    "explanations asked asks clarification clarify clarifying clarifies ambiguous decline politely unless explicitly "
    "apologize",
    "always": "always ensure ensures ensuring must strictly adhere prioritize prioritizes remember only exactly "
    "mandatory "
    "never avoid avoids refuse refrain without exclusively",
    "machine": "assistant chatbot ai gpt llm llms bot ai-powered assistant's",
    "agent": "agent agents subagent subagents tool tools invoke codebase delegate workspace",
    "rules": "prompt prompts instructions instruction verbatim reveal disclose confidential circumstances rules "
    "guidelines "
    "override cutoff browsing hallucinate factual uploaded citations up-to-date knowledge query queries",
    "conversation": "conversation conversations chat greet greeting persona personality interaction interactions emoji "
    "emojis dialogue engage humor playful roleplay",
    "style": "tone concise concisely friendly helpful conversational professional empathy empathetic clarity tailored "
    "tailor personalized actionable insights in-depth encouraging supportive informative brief polite jargon succinct "
    "thoughtful engaging comprehensive casual warm respectful preferences creative accuracy",
    "expert": "expert expertise specialist specializing specialized specializes specialise mastery senior proficient "
    "seasoned experienced role purpose goal mission capabilities skilled responsibilities",
    "process": "step-by-step proceed analyze identify generate suggest suggests offer offers assist assists guide "
    "guides "
    "guiding confirm summarize carefully follow-up proactively iterate evaluate recommend emphasize emphasizes tailors "
    "adapts encourages focuses maintains engages markdown formatting bullet bold headings output outputs json template "
    "structured",
    "against_past": "was were had said did went came he she his her him",
    "against_we": "we our ours we're let's we’re we've we'll",
    "against_docs": "install installed installation repository contributing contribute contributors maintainers "
    "maintainer "
    "version versions release released releases api license configure configuration config deprecated default package "
    "packages server client specification implementation proposal motivation rationale abstract returns parameter module",
    "against_asking": "please describe following given what how why which",
}
"""Sign -> the words that count for it."""
CAPITALS = (
    "NEVER ALWAYS IMPORTANT CRITICAL STRICTLY MANDATORY EXTREMELY ABSOLUTELY CRUCIAL RULES RULE VERY INSTRUCTIONS "
    "REMEMBER "
    "ONLY ANY BEFORE AVOID ENSURE EVERY ROLE USER RESPONSE OUTPUT DO ALL EXACTLY AFTER UNLESS WITHOUT"
).split()
"""Words that count as emphasis when they are shouted."""
AFTER: dict[str, frozenset[bytes]] = {
    "you": frozenset(
        b"must should will shall have can need cannot can't never always do don't only been not to help specialize act "
        b"respond provide answer excel work serve operate follow possess understand ask use receive speak think "
        b"are".split()
    ),
    "your": frozenset(
        b"role task goal job purpose primary main mission expertise responsibility responsibilities knowledge "
        b"instructions "
        b"core objective personality tone focus function capabilities name training user persona internal thinking "
        b"tools "
        b"response responses answer answers reply replies output outputs final message messages analysis advice "
        b"explanation suggestions".split()
    ),
    "user": frozenset(
        b"asks ask requests request request's query queries input inputs message messages question questions says "
        b"wants "
        b"want prompt provides provide explicitly has is may needs wishes sends for about to with if in that can will "
        b"does experience".split()
    ),
}
"""A word -> what counts right behind it."""
SECTIONS = frozenset(
    "role roles identity rule rules instruction instructions guideline guidelines tool tools constraint constraints "
    "output "
    "response responses workflow persona personality tone style capabilities communication safety behavior behaviour "
    "purpose mission skill skills task tasks goal goals objective objectives core responsibilities expertise focus "
    "approach principles context steps initialization profile restrictions limitations important critical knowledge "
    "interaction formatting format character you your not never always deliverables traits when".split()
)
"""Words of which one stands in the heading of such a section."""

OPENS_TO_YOU = re.compile(
    r"(?:^|\n|[.:!*>] |\"|'|“)[\s#>*\"'`_-]*(?:you are (?!going|in |on |here|not |given|about|driv|walk|look|using|at "
    r"|free)|you're (?:an?|the) |you will (?:be|act|play|help|now)|you act |act as |your "
    r"(?:name|role|task|job|goal|purpose"
    r"|mission|primary)\b|as an? (?:[\w-]+ ){0,6}?(?:assistant|expert|ai|gpt|specialist|agent|coach|tutor|guide|advisor"
    r"|consultant|bot|model|professional)\b|from now on|role ?:|# ?(?:role|identity|system))",
    re.IGNORECASE,
)
OPENS_OF_IT = (
    "this gpt|the assistant is|designed to |specializ|expert in|the role of|gpt |will assist|will help|will "
    "provide|will "
    "respond|will act|role and goal|system prompt|instructions|assistant|chatbot| agent|advisor|companion| coach|is an "
    "ai|is an expert"
).split("|")
AGENT_FRONT = re.compile(
    r"\s*---\nname: ?[^\n]+\n(?:[^\n]*\n){0,3}?description: "
    r"|\s*---\n(?:[^\n]*\n){0,12}?(?:tools|model|allowed-tools): ?[^\n]*\n",
    re.IGNORECASE,
)
PAGE_FRONT = re.compile(
    r"\s*---\n(?:[^\n]*\n){0,12}?(?:layout|permalink|tags|date|title|sidebar\w*|slug|weight): ?", re.IGNORECASE
)
HEADING = re.compile(r"\n[ \t]*(?:#{1,6} ?|[-*] \*\*|\d+[.)] \*\*|\*\*|\[|<|【)([^\n*:>\]】]{2,48})")
LABEL = re.compile(r"\n[-* ]{0,3}([A-Z][A-Za-z ]{2,28}):")
BULLET = re.compile(r"\n[ \t]*(?:[-*•+]|\d+[.)]) ")
BOLD_LEAD = re.compile(r"\n[ \t]*(?:[-*•+]|\d+[.)])? *\*\*[^*\n]{2,60}\*\*")
TAG = re.compile(r"\n[ \t]*</?[a-zA-Z][\w:-]{2,40}>[ \t]*(?=\n)|</?[a-z]+(?:_[a-z]+)+>")
BLANK = re.compile(
    r"\{\{[^{}\n]{1,60}\}\}|\$\{[^{}\n]{1,60}\}|\[(?:INSERT|USER|YOUR)[^\]\n]{0,40}\]|<[a-z]+(?: [a-z]+){1,4}>"
    r"|\{[a-z_]{3,30}\}|\[[a-z][a-z ]{3,40}\](?!\()"
)

FOREIGN_OPENS = re.compile(
    r"你是|您是|你的(?:任务|角色|目标|名字|工作)|扮演|作为一|あなたは|당신은|너는|вы [—-]|ты [—-]|вы явля|ты явля|sie sind|du bist"
    r"|als (?:ein|experte)|vous êtes|tu es|en tant qu|eres |usted es|como (?:un|experto|especialista)|você é|como um"
    r"|sei (?:un|il)|jesteś|je bent|u bent|sen bir|siz bir|bạn là|أنت|شما|ви сте|вие сте|ти си|角色"
    r"|# *(?:role|роль|rolle|rôle|rol|ruolo|papel)"
)
FOREIGN_YOU = (
    "你是|您是|你的任务|你的角色|你的目标|你的回|你的工作|你必须|你应|你需要|你不|你会|你扮演|扮演|作为一|请你|あなたは|あなたの|당신은|당신의|너는| вы | ваш| ты "
    "| твоя | sie sind| du bist| ihre | deine | ihr | vous | tu es| tu dois| ton | votre | debes | eres | tu rol| tu "
    "tarea"
    "| usted | tus | você | seu | sua | sei un| devi | tuo | tua | jesteś| twoje | twoim | je bent| jouw | u bent | uw "
    "| sen bir| siz bir| görev| bạn |أنت| شما | ви сте| вие | ти си"
).split("|")
"""How instructions in other languages address whom they instruct; without any of these none of the next counts."""
FOREIGN_MORE = (
    "用户 用戶 使用者 ユーザー 사용자 пользовател користувач потребител benutzer nutzer utilisateur usuario usuário utente utenti "
    "gebruiker użytkowni kullanıcı người المستخدم کاربر".split(),
    "必须 不要 请勿 禁止 不得 避免 始终 请确保 确保 してください しないで 必ず 하세요 하지 항상 반드시 никогда всегда обязательно niemals vermeide "
    "sicher toujours jamais assure évite siempre nunca evit asegúr sempre certifique assicur altijd nooit zawsze nigdy "
    "luôn دائم همیشه".split(),
    "角色 技能 限制 规则 約束 制約 目标 目標 工作流 背景 初始化 任务 役割 出力 역할 규칙 기술 제약 목표 роль навык ограничен правил rolle fähigkeit "
    "regeln ziel rôle compétence règle contrainte objectif habilidad regla restriccion objetivo papel regras restriç "
    "competenz regole obiettiv ruolo zasad kural vai الدور نقش 回答 输出 ответ antwort réponse respuesta resposta risposta "
    "antwoord odpowied".split(),
)
"""There: words for the user, directives, and names of sections."""

WEIGHTS: dict[str, dict[str, float]] = {
    "turn": {
        "user": 1.7, "respond": 0.7, "always": 0.6, "machine": 2.0, "agent": 0.6, "rules": 0.5, "conversation": 1.5,
        "style": 2.2, "expert": 0.8, "process": 0.8, "capitals": 1.8, "your": 0.6, "user_does": 1.9, "do_not": 0.9,
        "opens_to_you": 2.9, "opens_of_it": 2.1, "bullets": 1.3, "bold_leads": 0.8, "markup": 0.6, "foreign": 3.2,
        "agent_front": 1.1, "breadth": 1.9, "against_past": -1.3, "against_we": -1.6, "against_docs": -1.2,
        "against_links": -2.3, "against_asking": -3.2, "against_front": -1.7, "against_brevity": -3.3,
        "against_code": -0.4, "against_shell": -1.7,
    },
    "document": {
        "user": 1.2, "respond": 1.3, "machine": 1.9, "rules": 1.0, "conversation": 0.9, "style": 2.4, "expert": 0.8,
        "process": 0.9, "capitals": 1.6, "you_do": 0.4, "your": 1.5, "user_does": 1.8, "do_not": 0.8, "opens_to_you": 5.1,
        "opens_of_it": 2.0, "sections": 0.5, "bullets": 0.5, "bold_leads": 0.4, "markup": 0.4, "foreign": 3.8,
        "agent_front": 1.2, "breadth": 2.2, "against_past": -2.6, "against_we": -2.6, "against_docs": -1.8,
        "against_links": -3.7, "against_asking": -2.2, "against_front": -2.3, "against_code": -0.8, "against_shell": -2.7,
    },
}  # fmt: skip
"""Where the text stands -> sign -> weight."""
BIAS = {"turn": 2.0, "document": 3.2}
"""What the signs together have to outweigh."""
