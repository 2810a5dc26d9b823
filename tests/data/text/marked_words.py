"""Words whose letters have combining marks, or that contain invisible characters."""

import unicodedata

WORDS = {  # two words each
    "Hindi": "हिन्दी विकिपीडिया",
    "Bengali": "বাংলা উইকিপিডিয়া",
    "Tamil": "தமிழ் மொழி",
    "Malayalam, joiner at a word's end": "അവന്\u200d വന്നു",
    "Thai": "ที่นี่ น้ำ",
    "Khmer": "ភាសា ខ្មែរ",
    "vocalised Arabic": "كَتَبَ الوَلَدُ",
    "Persian, non-joiners": "می\u200cخواهم کتاب\u200cها",
    "pointed Hebrew": "שָׁלוֹם עוֹלָם",
    "decomposed French": unicodedata.normalize("NFD", "été fenêtre"),
    "Turkish, whose İ has a dot in lower case": "İstanbul İzmir",
    "soft hyphens": "soft\u00adhy\u00adphen word",
    "emoji": "👩\u200d👩\u200d👧 👍🏽",
}
