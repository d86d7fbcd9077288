"""Word lists from which series titles, names and descriptions are composed."""

from __future__ import annotations

_FIRST_NAMES = (
    "Aiko Akira Alma Anders Asuka Ben Camille Chiyo Clara Daichi Dara Elena Emi Farid Fumiko Gideon Hana Haruto"
    " Ingrid Isao Jonas Jun Kaede Kenji Lena Lucia Mai Marek Mika Nadia Naoki Nils Noor Oren Petra Quinn Rei Rosa"
    " Ryo Sachi Selma Shun Sora Tadashi Tessa Tomo Uma Viktor Wren Yara Yoko Yuta Zelda"
)
FIRST_NAMES = tuple(_FIRST_NAMES.split())
_LAST_NAMES = (
    "Abe Adler Amano Arai Bauer Bell Brandt Carver Chiba Costa Dahl Doi Eklund Endo Faris Fujita Goto Greer Hayashi"
    " Holm Hori Ito Jansen Kato Kemp Kimura Kovac Kubo Lang Lund Maeda Marlow Mori Moreau Nagai Noda Novak Oda Okabe"
    " Olsen Ono Park Pryce Quist Reyes Rossi Saito Sato Senda Sharma Sone Takeda Tamura Ueda Varga Wada Weiss Yano"
    " Yoshida Zeller"
)
LAST_NAMES = tuple(_LAST_NAMES.split())
_PLACES = (
    "Ashgrove|Bellmoor|Cinder Bay|Coldharbour|Copper Hill|Driftwood|Eastmarch|Fennel Street|Foxhollow|Glass Harbour"
    "|Greywater|Harrow Lane|Hoshino|Ivory Pier|Juniper Row|Kitamachi|Lantern Street|Lowtide|Maple Crossing|Mirefield"
    "|Nightingale Quay|North Ferry|Old Minato|Paper Mill|Quiet Hills|Ravensford|Rosewall|Saltmarsh|Seven Bridges"
    "|Silver Gate|Stonebridge|Sunset Ward|Thornbury|Umber Valley|Willow Court|Winterhaven|Yukari"
)
PLACES = tuple(_PLACES.split("|"))
_ADJECTIVES = (
    "Amber Borrowed Broken Burning Careful Crimson Crooked Distant Emerald Endless Faithful Fallen Forgotten Gentle"
    " Gilded Hidden Hollow Honest Idle Last Little Lonely Midnight Nameless Ninth Paper Patient Pale Quiet Reckless"
    " Restless Scarlet Second Secret Seventh Silent Silver Sleepless Stubborn Sunlit Tangled Thousand-Year Unwritten"
    " Vagrant Velvet Wandering White Wild Winter Yellow"
)
ADJECTIVES = tuple(_ADJECTIVES.split())
NOUNS: dict[str, tuple[str, ...]] = {
    "action": ("Blade", "Fist", "Vow", "Wolf", "Storm", "Banner", "Outlaw", "Thunder"),
    "fantasy": ("Crown", "Grimoire", "Dragon", "Rune", "Oath", "Tower", "Familiar", "Realm"),
    "science fiction": ("Orbit", "Signal", "Engine", "Horizon", "Protocol", "Star", "Android", "Colony"),
    "romance": ("Heart", "Letter", "Promise", "Kiss", "Spring", "Confession", "Waltz", "Ribbon"),
    "mystery": ("Alibi", "Clue", "Witness", "Cipher", "Verdict", "Key", "Ledger", "Detective"),
    "horror": ("Shadow", "Grave", "Whisper", "Mask", "Hunger", "Doll", "Well", "Lullaby"),
    "slice of life": ("Afternoon", "Kitchen Table", "Neighbour", "Umbrella", "Classroom", "Window", "Sunday", "Bench"),
    "sports": ("Goal", "Sprint", "Captain", "Overtime", "Relay", "Champion", "Rally", "Serve"),
    "historical": ("Dynasty", "Ronin", "Lantern", "Chronicle", "Envoy", "Silk Road", "Shogun", "Inkstone"),
    "comedy": ("Mistake", "Roommate", "Excuse", "Circus", "Holiday", "Nonsense", "Penguin", "Landlord"),
    "cooking": ("Ladle", "Oven", "Spice", "Noodle", "Feast", "Apron", "Broth", "Menu"),
    "thriller": ("Deadline", "Informant", "Double", "Escape", "Target", "Vault", "Bluff", "Hostage"),
}
TITLE_PATTERNS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "{noun} of {place}",
    "The {noun} of {place}",
    "{first}'s {noun}",
    "{adjective} {noun}, {adjective2} Sky",
    "{noun} and {noun2}",
    "A {noun} for {first}",
    "{first} and the {adjective} {noun}",
    "Beyond the {adjective} {noun}",
)
OPENERS: dict[str, tuple[str, ...]] = {
    "action": (
        "{first} has fought in every back street of {place}, and never for a good reason.",
        "When the gates of {place} fall, {first} is the only fighter left standing.",
    ),
    "fantasy": (
        "In {place}, where spells are taxed by the word, {first} finds a book that nobody dares to burn.",
        "{first} was supposed to guard the forest of {place}, not to wake what sleeps beneath it.",
    ),
    "science fiction": (
        "The station {place} has air for ninety days, and {first} is the only engineer awake.",
        "{first} repairs old machines on the edge of {place}, until one of them answers back.",
    ),
    "romance": (
        "{first} came to {place} to forget somebody, and sits down next to the wrong person on the train.",
        "Every morning {first} buys two coffees in {place}, and every morning nobody comes.",
    ),
    "mystery": (
        "A clock stops in {place}, a body is found, and {first} is the only one who heard nothing.",
        "{first} solves small puzzles for the people of {place}, until one of them is signed in blood.",
    ),
    "horror": (
        "Nobody in {place} goes out when the bells are silent; {first} has just moved in.",
        "{first} hears scratching under the floor in {place}, a little closer every night.",
    ),
    "slice of life": (
        "Nothing much ever happens in {place}, and {first} would like to keep it that way.",
        "{first} inherits a narrow house in {place}, together with the neighbours.",
    ),
    "sports": (
        "The club of {place} has not won in eleven years when {first} joins the team.",
        "{first} was told to give up after the injury; {place} has other plans.",
    ),
    "historical": (
        "In the year of the great flood {first} arrives in {place} with a sealed order.",
        "{first}, a scribe of {place}, is asked to write down a victory that never happened.",
    ),
    "comedy": (
        "{first} only wanted to rent a quiet room in {place}.",
        "One small lie at a party in {place}, and {first} is mayor by Friday.",
    ),
    "cooking": (
        "{first} burns everything, and has just been left a restaurant in {place}.",
        "In the night market of {place} {first} serves one dish, and only one.",
    ),
    "thriller": (
        "{first} has forty-eight hours to leave {place}, and somebody has taken the passport.",
        "A wrong number, a train to {place}, and {first} is the most wanted person in the country.",
    ),
}
THEME_SENTENCES = (
    "A tale of {clause}, for readers of {genre}.",
    "Readers who like {theme} will feel at home: this is a tale of {clause}.",
    "At its heart it is about {clause}.",
    "Expect plenty of {theme}: {clause}.",
)
SECOND_SENTENCES = (
    "There is also room for {theme}.",
    "On the way it touches on {clause}.",
    "Fans of {theme} get their share, too.",
    "Between the turns of the plot lies {clause}.",
)
VOLUME_SENTENCES = (
    "In volume {volume} {first} meets an old rival again.",
    "Volume {volume} turns to what {first} left behind in {place}.",
    "This volume, number {volume}, puts a friendship to the test.",
    "Volume {volume} slows down and lets {first} rest, for a chapter or two.",
    "In volume {volume} a door opens that should have stayed shut.",
    "Volume {volume} brings the long-promised journey to {place}.",
)
LAST_SENTENCES = ("The final volume.", "With this volume the story ends.", "The last volume ties every thread.")
SINGLE_SENTENCES = ("Complete in one volume.", "A single volume that stands on its own.", "A story in one sitting.")
