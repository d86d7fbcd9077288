"""Shop words of other languages, so that a question in one of them finds its answer, which is then given in English.

A word for each word, in the order of the message: enough to find a policy or a kind of book, and no translation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from retail_assistant.understand.said.places import place

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+(?:[.,:]\d+)*|[?!.]")
_ELIDED = re.compile(r"^(?:[cdjlmnst]|qu|all|dell|nell|un|quell)['\u2019](?=\w)")
# fmt: off
_ENGLISH: dict[str, str] = {
    # German
    **dict.fromkeys(("buch", "bücher", "büchern"), "book"), **dict.fromkeys(("zurückgeben", "zurückschicken",
    "zurücksenden", "rückgabe", "rücksendung", "retoure",
    "zurückzuschicken", "zurückzugeben", "zurückzusenden"), "return"), "umtauschen": "exchange", "umtausch": "exchange",
    **dict.fromkeys(("versand", "lieferung", "liefern", "liefert", "verschicken", "versenden"), "delivery"),
    "versandkosten": "delivery cost", "porto": "delivery cost", "expressversand": "express delivery",
    "kostet": "costs", "kosten": "cost", "preis": "price", "wieviel": "how much", "viel": "much", "wie": "how",
    "lange": "long", "dauert": "takes", "wann": "when", "bis": "until", "wo": "where", "was": "what", "kann": "can",
    "können": "can", "ich": "i", "sie": "you", "muss": "must", "bestellen": "order", "bestellung": "order",
    "stornieren": "cancel", "bezahlen": "pay", "zahlen": "pay", "rechnung": "invoice", "ratenzahlung": "instalments",
    "gutschein": "gift card", "gutscheine": "gift cards", "geschenkkarte": "gift card", "gültig": "valid",
    "geld": "money", "erstattung": "refund", "punkte": "points", "beschädigt": "damaged", "kaputt": "damaged",
    "paket": "parcel", "verloren": "lost", "krimis": "mystery books", "krimi": "mystery book",
    "liebesromane": "romance books", "roman": "novel", "romane": "novels", "taschenbuch": "paperback",
    "taschenbücher": "paperbacks", "gebunden": "hardcover", "ebook": "ebook", "billiger": "cheaper", "günstig": "cheap",
    "datenschutz": "privacy", "konto": "account", "löschen": "delete", "haben": "have", "nach": "to", "und": "and",
    "mit": "with", "geöffnet": "opened", "ausland": "abroad", "zoll": "customs", "vorbestellen": "preorder",
    **dict.fromkeys(("angekommen", "ankam"), "arrived"),
    **dict.fromkeys(("falsche", "falsches", "falschen"), "wrong"),
    **dict.fromkeys(("erhalten", "bekommen", "bekam"), "received"),
    "wasserschaden": "water damage", "schaden": "damage",
    "defekt": "damaged", "verschwunden": "lost", "verfallen": "expire", "ablaufen": "expire", "wochen": "weeks",
    "woche": "week", "tage": "days", "tagen": "days", "monate": "months", "nie": "never", "pakete": "parcels",
    "sendungsverfolgung": "tracking", "bewegt": "moved", "treuepunkte": "loyalty points", "seiten": "pages",
    "leere": "blank", "leer": "blank", "zeit": "time",
    "fehlen": "missing", "abholen": "pick up", "adresse": "address", "ändern": "change", "karte": "card",
    "raten": "instalments", "kostenlos": "free", "gratis": "free", "ab": "from", "ausverkauft": "sold out",
    "lieferbar": "in stock", "empfehlen": "recommend", "suche": "looking for", "günstige": "cheap",
    "günstigste": "cheapest", "auf": "on", "dem": "the", "weg": "way", "schon": "already", "noch": "still",
    "danke": "thanks", "hallo": "hello", "zahlungsarten": "ways to pay",
    # French
    "merci": "thanks", "bonjour": "hello", "paiement": "payment", "moyens": "ways", "auteur": "author",
    "habite": "live in", "chez": "to", "moi": "me", "reçu": "received", "mauvais": "wrong", "arrivé": "arrived",
    "jamais": "never", "déchiré": "torn", "cassé": "damaged", "semaine": "week", "semaines": "weeks", "mois": "months",
    "suivi": "tracking", "bougé": "moved", "pas": "not", "pages": "pages", "manquent": "missing",
    "changer": "change", "gratuit": "free", "gratuite": "free", "stock": "stock", "cherche": "looking for",
    "expirent": "expire", "fois": "instalments", "plusieurs": "several", "relais": "pick-up point", "cassée": "damaged",
    "livre": "book", "livres": "books", "retourner": "return", "renvoyer": "return", "retour": "return",
    "rendre": "return", "échanger": "exchange", "livraison": "delivery", "expédition": "delivery", "port": "delivery",
    "frais": "cost", "coûte": "costs", "coûtent": "cost", "prix": "price", "combien": "how much", "temps": "time",
    "jours": "days", "délai": "how long", "quand": "when", "où": "where", "peux": "can", "puis": "can", "peut": "can",
    "je": "i", "vous": "you", "payer": "pay", "virement": "bank transfer", "carte": "card", "cadeau": "gift",
    "chèque": "cheque", "commande": "order", "commander": "order", "annuler": "cancel", "facture": "invoice",
    "remboursement": "refund", "rembourser": "refund", "points": "points", "colis": "parcel", "perdu": "lost",
    "abîmé": "damaged", "endommagé": "damaged", "policiers": "mystery books", "policier": "mystery book",
    "romans": "novels", "poche": "paperback", "relié": "hardcover", "numérique": "digital edition", "cher": "expensive",
    "moins": "less", "et": "and", "avec": "with", "ouvert": "opened", "étranger": "abroad", "douane": "customs",
    "valable": "valid", "données": "data", "compte": "account", "supprimer": "delete",
    # Spanish
    "libro": "book", "libros": "books", "devolver": "return", "devolución": "return", "devolverlo": "return it",
    "cambiar": "exchange", "envío": "delivery", "enviar": "deliver", "entrega": "delivery", "gastos": "cost",
    "cuesta": "costs", "cuestan": "cost", "precio": "price", "cuánto": "how much", "cuanto": "how much",
    "tiempo": "time", "tarda": "takes", "días": "days", "cuándo": "when", "dónde": "where", "puedo": "can i",
    "pagar": "pay", "pedido": "order", "pedir": "order", "cancelar": "cancel", "factura": "invoice",
    "reembolso": "refund", "dinero": "money", "puntos": "points", "tarjeta": "card", "regalo": "gift",
    "paquete": "parcel", "perdido": "lost", "dañado": "damaged", "roto": "damaged", "terror": "horror",
    "misterio": "mystery", "amor": "romance", "fantasía": "fantasy", "novela": "novel", "novelas": "novels",
    "tapa": "", "dura": "hardcover", "blanda": "paperback", "bolsillo": "paperback", "digital": "digital edition",
    "barato": "cheap", "barata": "cheap", "más": "more", "y": "and", "con": "with", "abierto": "opened",
    "extranjero": "abroad", "aduana": "customs", "válida": "valid", "caduca": "expire", "datos": "data",
    "cuenta": "account", "borrar": "delete", "tenéis": "do you have", "tienen": "do you have", "hay": "is there",
    "recibido": "received", "equivocado": "wrong", "llegado": "arrived", "llegó": "arrived", "nunca": "never",
    "rota": "damaged", "semana": "week", "semanas": "weeks", "meses": "months", "seguimiento": "tracking",
    "páginas": "pages", "blanco": "blank", "blanches": "blank", "bianche": "blank",
    "faltan": "missing", "dirección": "address", "cuotas": "instalments",
    "plazos": "instalments", "vivo": "live in", "busco": "looking for", "caducan": "expire", "recoger": "pick up",
    "autor": "author", "trata": "about", "gracias": "thanks", "hola": "hello", "pago": "payment",
    # Italian
    "grazie": "thanks", "ciao": "hello", "fumetti": "comics", "cucina": "cooking", "gare": "contests",
    "cuochi": "cooks", "pagamento": "payment", "autore": "author",
    "ricevuto": "received", "sbagliato": "wrong", "arrivato": "arrived", "mai": "never", "rotto": "damaged",
    "settimana": "week", "settimane": "weeks", "mesi": "months", "pagine": "pages", "mancano": "missing",
    "indirizzo": "address", "gratuita": "free", "rate": "instalments", "abito": "live in", "cerco": "looking for",
    "scadono": "expire", "ritirare": "pick up",
    "libri": "books", "restituire": "return", "reso": "return", "rimandare": "return", "cambio": "exchange",
    "spedizione": "delivery", "spedire": "deliver", "consegna": "delivery", "spese": "cost", "costa": "costs",
    "costano": "cost", "prezzo": "price", "quanto": "how much", "quanti": "how many", "giorni": "days", "tempo": "time",
    "quando": "when", "dove": "where", "posso": "can i", "pagare": "pay", "bonifico": "bank transfer",
    "ordine": "order", "ordinare": "order", "annullare": "cancel", "fattura": "invoice", "rimborso": "refund",
    "soldi": "money", "punti": "points", "carta": "card", "pacco": "parcel",
    "danneggiato": "damaged", "orrore": "horror", "giallo": "mystery", "gialli": "mystery books", "romanzo": "novel",
    "tascabile": "paperback", "rigida": "hardcover", "economico": "cheap", "e": "and", "aperto": "opened",
    "estero": "abroad", "dogana": "customs", "valida": "valid", "scade": "expire", "dati": "data",
    "avete": "do you have",
    # Dutch
    "kost": "costs", "boek": "book", "boeken": "books", "terugsturen": "return", "terugbrengen": "return",
    "retourneren": "return",
    "ruilen": "exchange", "verzending": "delivery", "verzendkosten": "delivery cost", "levering": "delivery",
    "bezorging": "delivery", "kan": "can", "ik": "i", "een": "a", "digitaal": "digital", "hoeveel": "how much",
    "hoe": "how", "lang": "long", "duurt": "takes", "prijs": "price", "betalen": "pay", "bestelling": "order",
    "annuleren": "cancel", "factuur": "invoice", "terugbetaling": "refund",
    "cadeaubon": "gift card", "cadeaukaart": "gift card", "pakket": "parcel", "beschadigd": "damaged",
    "geldig": "valid", "punten": "points", "hebben": "have", "jullie": "you", "naar": "to",
    # Portuguese
    "livro": "book", "livros": "books", "devolução": "return", "trocar": "exchange", "envio": "delivery",
    "custa": "costs", "preço": "price", "demora": "takes", "dias": "days", "onde": "where",
    "fatura": "invoice", "dinheiro": "money", "pontos": "points", "cartão": "card",
    "presente": "gift", "encomenda": "parcel", "danificado": "damaged", "no": "to", "na": "to",
    # Polish
    "książka": "book", "książki": "books", "książkę": "book", "zwrócić": "return", "zwrot": "return",
    "wysyłka": "delivery", "dostawa": "delivery", "ile": "how much", "kosztuje": "costs", "mogę": "can i",
    "zapłacić": "pay", "zamówienie": "order", "anulować": "cancel", "faktura": "invoice", "e-booka": "digital edition",
    "e-book": "digital edition", "paczka": "parcel",
}
# fmt: on
_NEVER_ALONE = frozenset(
    """was no e y et is port points carte digital con on an pages stock weg rate chez gratis ab auf pas mai""".split()
)
"""Words that English has as well, or that say nothing of a language by themselves."""
HEARD, SHORT = 2, 4
"""How many known words show that a message is about the shop; of fewer words than that, one does."""


def is_of_shop(text: str) -> bool:
    """Whether a message has shop words of another language, which English does not have, or names of places."""
    said = _said(text)
    known = sum((word in _ENGLISH and word not in _NEVER_ALONE) or place(word) is not None for word in said)
    return known >= (1 if len(said) <= SHORT else HEARD)


def in_english(text: str, *, keeps: Callable[[str], bool]) -> str:
    """The shop words of a message in English, in its order, with the words that ``keeps`` says to keep.

    It is empty if the message does not seem to be about the shop.
    """
    if not is_of_shop(text):
        return ""
    found = (_ENGLISH.get(word, word if not word.isalpha() or keeps(word) else "") for word in _said(text))
    return " ".join(filter(None, found)).replace(" ?", "?")


def _said(text: str) -> list[str]:
    """The words of a text in lower case, without articles and pronouns that are joined to them."""
    return [_ELIDED.sub("", word.lower()) for word in _WORD.findall(text)]
