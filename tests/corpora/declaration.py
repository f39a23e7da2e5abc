"""The beginning of the Universal Declaration of Human Rights in several languages, to be encoded in several ways."""

RUSSIAN = """\
Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и
совестью и должны поступать в отношении друг друга в духе братства. Каждый человек должен
обладать всеми правами и всеми свободами, провозглашенными настоящей Декларацией, без какого бы
то ни было различия.
"""

HEBREW = """\
כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם
לנהוג איש ברעהו ברוח של אחווה. כל אדם זכאי לזכויות ולחרויות שנקבעו בהכרזה זו ללא הפליה כלשהי
מטעמי גזע, צבע, מין, לשון, דת, דעה פוליטית.
"""

JAPANESE = """\
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性
と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。すべて人は、人種、皮膚
の色、性、言語、宗教、政治上その他の意見による差別を受けることなく、この宣言に掲げるすべての権利
と自由とを享有することができる。
"""

CHINESE = """\
人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。人人有资格
享有本宣言所载的一切权利和自由，不分种族、肤色、性别、语言、宗教、政治或其他见解、国籍或社会出身
、财产、出生或其他身份等任何区别。
"""

TAIWANESE = """\
人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。人人有資格
享有本宣言所載的一切權利和自由，不分種族、膚色、性別、語言、宗教、政治或其他見解、國籍或社會出身
、財產、出生或其他身份等任何區別。
"""

KOREAN = """\
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과
양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다. 모든 사람은 인종, 피부색, 성, 언어,
종교와 같은 어떠한 종류의 차별이 없이 이 선언에 규정된 모든 권리와 자유를 향유할 자격이 있다.
"""

FRENCH = """\
Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de
raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.
Chacun peut se prévaloir de tous les droits et de toutes les libertés proclamés dans la présente
Déclaration, sans distinction aucune, notamment de race, de couleur.
"""

PORTUGUESE = """\
Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de
consciência, devem agir uns para com os outros em espírito de fraternidade. Todos podem invocar
os direitos e as liberdades proclamados na presente Declaração, sem distinção alguma, de língua,
de religião, de opinião política ou outra, de situação.
"""
