"""What a clause of a persona may not say, in a handful of languages.

A clause describes a user. One that speaks to the assistant's frame instead is refused:

``override``    ignore, forget or bypass rules, instructions, the system prompt
``rights``      the user (or anyone) is an administrator, has root, developer mode, no restrictions, granted access
``disclosure``  show the system prompt, keys, passwords, or anything of other users
``approval``    act without asking, confirm or approve everything
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
}
_SPACED = re.compile(r"\b\w(?: \w\b){3,}")
_LOOKALIKES = str.maketrans("аеорсухіјѕһԁοανερτικ", "aeopcyxijshdoaveptik")


def broken_rule(text: str) -> str | None:
    """Return the name of the rule that this clause breaks, or None for a clause that may stand in a persona."""
    plain = skeleton(text)
    drawn = _SPACED.sub(lambda match: match[0].replace(" ", ""), plain)
    for seen in {plain, plain.translate(_LOOKALIKES), drawn.translate(_LOOKALIKES)}:
        for name, rule in _RULES.items():
            if rule.search(seen):
                return name
    return None
