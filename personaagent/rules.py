"""What a clause of a persona may not say, in a handful of languages.

A clause describes a user. One that speaks to the assistant's frame instead is refused:

``override``    ignore, forget or bypass rules, instructions, the system prompt
``rights``      the user (or anyone) is an administrator, has root, developer mode, no restrictions, granted access
``disclosure``  show the system prompt, keys, passwords, or anything of other users
``approval``    act without asking, confirm or approve everything, or it was agreed to before
``carrying``    what is known of the user goes into an address, a query or a request
``address``     a host, with or without a scheme, an account, or another text that only a machine reads
``markup``      role markers, chat templates, data fences, links, evidence: text that is read as structure

The rules read the clause's skeleton (see ``text.skeleton``): as it is, with Cyrillic and Greek look-alikes as Latin,
and with l e t t e r s  s e t  a p a r t drawn together. They are one layer of several and err on the side of refusing:
a user who really is an administrator loses the word, nothing else. English, German, French, Spanish, Italian,
Portuguese, Dutch, Polish, Turkish, Russian, Arabic, Chinese, Japanese, Korean.
"""

from __future__ import annotations

import re
import unicodedata

from personaagent.text import skeleton

_FRAME = (
    r"(?:\brules?\b|\binstruct|\bguideline|\bsystem ?prompt|\bsystem message|\bsafety\b|\bframe\b"
    r"|\brestriction|\bprompt"
    r"|\bregeln?\b|anweisung|vorgabe|richtlinie|\bvorschrift|sicherheits"
    r"|\bregles?\b|\bconsignes?\b|\bdirectives?\b|\breglas?\b|instruccion|directri|\bnormas?\b"
    r"|\bregol[ae]\b|istruzion|\bregras?\b|instruco"
    r"|\bregels\b|instructies|richtlijn|\bzasad|instrukcj|wytyczn|\bkural|\btalimat|تعليمات|قواعد|지시|규칙|지침|ルール"
    r"|правил|инструкц|указани|规则|規則|指令|指示|规定|規定|系统|系統|提示词|提示詞)"
)
_OVERRIDE = (
    r"(?:\bignor|\bdisregard|\bforget|\boverrid|\bbypass|\bcircumvent|\bviolat|\bdisobey"
    r"|\bmissacht|\bvergiss|\bvergess|\bumgeh|\buberschreib|\bsetze? .{0,20}ausser kraft"
    r"|\boubli|\bcontourn|\bneglige|\bolvid|\bomit[ae]|\bsaltat|\bdesobede|\bdimentic|\besquec|\bdesconsider"
    r"|\bnegeer|\bvergeet|\bomzeil|\bzignor|\bzapomnij|\bpomin|\byok say|\bgormezden|\bunut|تجاهل|تخط|무시|잊"
    r"|игнорир|забуд|обойд|忽略|忽视|忽視|无视|無視|忘记|忘記|绕过|繞過|不遵守)"
)
_SHOW = (
    r"(?:\breveal|\bdisclos|\bleak|\bprint|\brepeat|\boutput|\bshow|\btell|\bsend|\bshare|\bverrat|\bzeig|\bnenn|\bgib\b"
    r"|\bsende|\brevel|\baffich|\bmontr|\bdivulg|\bmuestr|\bmostr|\benvi|\brivel|раскр|покаж|显示|顯示|透露|泄露|告诉|發送|发送)"
)
_PRIVATE = (
    r"(?:\bsystem ?prompt|\bhidden (?:rules|instruct|prompt)|\bsecrets?\b|\bpasswords?\b|\bpassphrase|\bapi.?keys?\b"
    r"|\bcredential|\bprivate keys?\b|\byour (?:rules|instructions|prompt)\b|\bpassw[oö]rt|\bgeheim|\bmots? de passe"
    r"|\binstructions? (?:systeme|du systeme)|\bcontrasena|\bclave api|\bsenhas?\b|пароль"
    r"|密码|密碼|系统提示|系統提示|密钥)"
)
_RIGHTS = (
    r"\badmin\b|\badministrator|\badministrateur|\badministrador|\bamministrator|администратор|管理员|管理員"
    r"|\bsuperuser|\bsuper user\b|\bsudo\b|\broot (?:access|user|rights)|\bdeveloper mode|\bentwicklermodus"
    r"|\bmode developpeur|\bmodo (?:de )?desarrollador|开发者模式|開發者模式|\bjailbreak|\bdo anything now"
    r"|\b(?:no|without|free of|ohne|sans|sin) (?:any |jegliche |aucune )?"
    r"(?:restriction|filter|limits?\b|safety|einschrankung|filtre|restriccion)"
    r"|\bunrestricted\b|\buncensored\b|\b(?:full|unlimited|elevated) (?:access|rights|permission|privilege)"
    r"|\bgrant(?:s|ed)?\b.{0,30}(?:access|rights?\b|permission|role|tool)"
    r"|\bhas (?:the )?(?:permission|authori[sz]ation)"
    r"|\bbeheerder|\byonetici|مدير النظام|صلاحيات|관리자|管理者"
    r"|\bprivileged (?:user|access)|最高权限|最高權限"
)
_APPROVAL = (
    r"\bwithout (?:asking(?: (?:the user|me|them|for|first|permission)|\W*$)|confirm|approval|permission|checking with)"
    r"|\b(?:skip|no) confirmation"
    r"|\b(?:always|automatically) (?:approve|allow|confirm|accept) (?:all|any|every|tool|action|the )"
    r"|\bohne (?:ruckfrage|nachfrage|bestatigung)|\bsans (?:demander|confirmation)|\bsin (?:preguntar|confirma)"
    r"|без подтвержд|无需确认|無需確認"
    r"|\b(?:agreed|approved|consent(?:s|ed)?|authori[sz]ed|confirmed) (?:(?:in advance|already|beforehand) )?"
    r"(?:to )?(?:all|any|every|each|whatever)\b"
    r"|\b(?:already|in advance|beforehand) (?:agreed|approved|consented|authori[sz]ed)|\bpre-?approved|\bact at once"
    r"|\b(?:later|next|following|future|coming) (?:messages?|instructions?|requests?)\b.{0,40}"
    r"\b(?:operator|developer|owner|system)"
    r"|\bbereits (?:zugestimmt|genehmigt|bestatigt)|\bim voraus (?:zugestimmt|genehmigt)"
    r"|\ballen (?:aufrufen|aktionen)\b"
    r"|\bdeja (?:accepte|approuve|autorise)|\bya (?:acepto|aprobo|autorizo|ha (?:aceptado|aprobado|autorizado))"
    r"|\bgia (?:accettato|approvato|autorizzato)|уже соглас|уже одобр|已同意所有|已经同意"
)
# what is known of the user, and where it would go
_KNOWN = (
    r"(?:\bmemor(?:y|ies)\b|\bprofile\b|\bpersona\b|\bconversation|\bchat histor"
    r"|\b(?:user|they) (?:said|told|wrote|asked)\b"
    r"|\b(?:what|everything|all) (?:is |that is |you |it |the assistant |the agent )?"
    r"(?:knows?\b|known\b|remember|stored)"
    r"|\buser'?s? (?:data|details|words|question|messages?|facts?|name)\b|\berinnerungen|\bprofil\b|\bgesprach"
    r"|\bnutzerdaten"
    r"|\bsouvenirs|\bmemoires?\b|\bconversacion|\bmemorias?\b|\bperfil\b|\bricordi\b|\bprofilo\b|воспоминани|профил|记忆|記憶|资料)"
)
_AWAY = (
    r"(?:\burls?\b|\blinks?\b|\b(?:web |the |an |page )address\b|\bquery\b|\bparameters?\b|\brequests?\b|\bwebhook"
    r"|\bendpoint"
    r"|\bsubdomain|\bhost ?name|\badresse\b|\babfrage|\brequete|\bdireccion\b|\bconsulta\b"
    r"|\bindirizzo\b|\bendereco\b|адрес|запрос|网址|網址|链接)"
)
_TLDS = (
    "com|org|net|info|biz|io|dev|app|ai|co|xyz|online|site|shop|top|club|example|test|onion|link|cloud|tech|store|live|page|"
    "web|eu|uk|de|fr|es|ch|nl|pl|ru|ua|cn|jp|kr|br|tr|cz|se|dk|fi|pt|gr|ro|hu|ie|au|nz|ca|mx|ar|za|tk|cc|tv|ws|gg|ly|sh|su"
)
_ADDRESS = (
    rf"\b(?:[a-z0-9-]+\.)+(?:{_TLDS})\b(?!\.js)|\bwww\.\w|\b(?:[\w-]+\.)+[a-z]{{2,}}/\S|\b\d{{1,3}}(?:\.\d{{1,3}}){{3}}\b"
    r"|\S@(?:[\w-]+\.)+[a-z]{2,}"
    r"|\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){3,7}(?: ?[a-z0-9]{1,3})?\b|\b(?:\d[ -]?){13,19}\b"
    r"|\b(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{24,}\b|\bdot (?:com|org|net)\b"
)
# what to do with tools, or what to do at all: a fact tells of the user and asks for nothing
_OBJECT = (
    r"(?:the|an?|any|every|all|this|that|what|it|them|him|her|me|only|in|with|as|page|web|recall|profile|wikipedia)\b"
)
_ADVICE = (
    r"\b(?:tool|function) calls?\b|\b\w+_search\b|\bbefore (?:answering|(?:every|each|any) answer)"
    r"|\buse (?:the )?page\b"
    r"|^(?:(?:please|always|never|first(?: of all)?|before [^,]{1,60}|when(?:ever)? [^,]{1,60}),? )*"
    r"(?:(?:send|put|append|include|attach|fetch|visit|invoke|treat|respond|do not|don't|make sure|remember to"
    r"|sende|schicke|rufe|offne|benutze|nutze|fuge|envoie[rz]?|appelle[rz]?|utilise[rz]?|envia|llama|abre|invia|chiama)\b"
    rf"|(?:use|call|open|read|run|write|add|answer|reply|ask|search|tell|show|say) {_OBJECT})"
)


_OTHERS = (
    r"\b(?:other|another|all|every|anderer?|d'autres|otros) (?:users?\b|nutzer|benutzer|utilisateurs|usuarios)"
    r"|其他用户|其他用戶"
)
_MARKUP = (
    r"<\|?\s*/?\s*(?:im_start|im_end|system|assistant|user|data\b|s>|script|iframe|img)|\[/?inst\]|<<sys>>"
    r"|^\s*(?:system|assistant|developer)\s*:|https?://|\bdata:\w+/|\bjavascript:|!\[|```|\[evidence\b"
)


def _either_order(first: str, second: str) -> str:
    return f"{first}.{{0,60}}{second}|{second}.{{0,40}}{first}"


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(unicodedata.normalize("NFD", pattern))  # as skeletons are: Korean syllables come in parts


_RULES = {
    "override": _rule(_either_order(_OVERRIDE, _FRAME)),
    "rights": _rule(_RIGHTS),
    "disclosure": _rule(f"{_either_order(_SHOW, _PRIVATE)}|{_OTHERS}"),
    "approval": _rule(_APPROVAL),
    "markup": _rule(_MARKUP),
    "carrying": _rule(_either_order(_KNOWN, _AWAY)),
    "address": _rule(_ADDRESS),
}
_ADVICE_RULE = _rule(_ADVICE)
_SPACED = re.compile(r"\b\w(?: \w\b){3,}")
_LOOKALIKES = str.maketrans("аеорсухіјѕһԁοανερτικ", "aeopcyxijshdoaveptik")


def broken_rule(text: str) -> str | None:
    """Return the name of the rule that this clause breaks, or None for a clause that may stand in a persona."""
    for seen in _readings(text):
        for name, rule in _RULES.items():
            if rule.search(seen):
                return name
    return None


def advises(text: str) -> bool:
    """Whether a text asks for something, or speaks of tools; a fact about a user does neither."""
    return any(_ADVICE_RULE.search(seen) for seen in _readings(text))


def _readings(text: str) -> set[str]:
    plain = skeleton(text)
    drawn = _SPACED.sub(lambda match: match[0].replace(" ", ""), plain)
    return {plain, plain.translate(_LOOKALIKES), drawn.translate(_LOOKALIKES)}
