#!/usr/bin/env python3
"""Makes the documents of examples/documents that no editor of text can: a PDF, a DOCX, a text that is not UTF-8.

Only the standard library, and the same bytes each time:  python3 tools/make_documents.py
The results are checked in, so that nobody needs to run it. It lies here, not there, because `make demo` indexes
examples/ and would find every sentence twice.
"""

import pathlib
import zipfile

DOCUMENTS = pathlib.Path(__file__).parent.parent / "examples" / "documents"

HEAT_PUMP = [
    (
        "Your heat pump: a short manual",
        [
            "1. How it works",
            "The outdoor unit takes heat from the air, even from cold air, and the compressor lifts it to the temperature",
            "of your heating water. For one part of electricity it delivers three to four parts of heat. The colder the",
            "water it has to make, the better it does, so keep the flow temperature as low as your rooms allow.",
            "",
            "2. Setting the heating curve",
            "The heating curve says how warm the water is for each outdoor temperature. Open all radiator valves, wait",
            "for a cold day, and lower the curve by one step a day until the coldest room is only just warm enough.",
            "Do not lower the temperature at night: reheating in the morning costs more than the night has saved.",
        ],
    ),
    (
        "3. Winter",
        [
            "Frost and ice on the outdoor unit",
            "A thin white coat of frost is normal. Every hour or two the pump turns its cycle around, warms the fins for",
            "some minutes, and steam rises: it is defrosting itself. Leave it alone.",
            "When the outdoor unit is covered in thick ice, switch the pump to defrost by holding the snowflake key for",
            "five seconds. Never chip at the ice with a tool, and pour no hot water on it: the fins bend and leak.",
            "If it freezes over again within a day, the drain below is blocked or the fan stands still: call service.",
        ],
    ),
    (
        "4. Faults",
        [
            "E1  low pressure in the heating circuit: refill with water to 1.5 bar.",
            "E4  no flow: open the valves, clean the dirt filter, bleed the circulation pump.",
            "E7  outdoor sensor broken: the pump goes on with a fixed curve until the sensor is changed.",
            "H9  high pressure in the refrigerant: switch off and call service.",
        ],
    ),
]

GARDEN = [
    ("Heading1", "Rules of the allotment garden"),
    (None, "Agreed by the members' meeting. They are few, so that they can be kept."),
    ("Heading2", "Water"),
    (None, "Rain barrels first. From the standpipe each plot may draw water before nine in the morning and after seven "
           "in the evening, by can; hoses are for the orchard only. The pump is drained on the first of November."),
    ("Heading2", "Compost and fire"),
    (None, "Everything that grew here may rot here. Cooked food, meat and diseased tomato plants do not belong on the "
           "compost, as they bring rats and blight. Open fires are forbidden all year; branches are chipped in March."),
    ("Heading2", "Quiet"),
    (None, "No engines between one and three in the afternoon, and none on Sundays. This holds for mowers, drills and "
           "the chipper alike."),
    ("Heading2", "Keys"),
    (None, "Each plot has two keys to the gate. Whoever loses one pays for the new lock, not for the new key."),
]

NIGHT_TRAIN = """Liebe Jette,

der Nachtzug nach Zürich fährt um 21.07 Uhr von Gleis 4, nicht mehr von Gleis 11. Wir haben zwei Plätze im
Liegewagen 302, Abteil fünf, oben. Das Frühstück kommt gegen halb sieben, kurz hinter Basel. Die Fahrräder müssen
schon eine Viertelstunde vorher am Gepäckwagen sein; die Reservierung dafür liegt im grünen Umschlag.

Vergiss die dünnen Wollsocken nicht, im Abteil ist es entweder zu heiß oder eiskalt.

Grüße aus der Küche
Käthe
"""


def pdf(pages):
    """A PDF 1.4 with one content stream a page, in Helvetica, and a table of offsets that is right."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        None,
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Title (Your heat pump: a short manual) /Author (The Quipu authors) >>",
    ]
    page_numbers = []
    for title, lines in pages:
        shown = [f"BT /F1 16 Tf 56 780 Td ({escaped(title)}) Tj ET", "BT /F1 10 Tf 15 TL 56 745 Td"]
        shown += [f"({escaped(line)}) Tj T*" for line in lines] + ["ET"]
        content = "\n".join(shown)
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        page_numbers.append(len(objects) + 1)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {len(objects)} 0 R >>"
        )
    kids = " ".join(f"{number} 0 R" for number in page_numbers)
    objects[1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(page_numbers)} >>"

    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    out += f"trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{out.index('xref')}\n%%EOF\n"
    return out.encode("ascii")


def escaped(text):
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def write_docx(path, paragraphs):
    """The smallest package that word processors open: types, relations, core properties, the document."""
    office = "http://schemas.openxmlformats.org"
    word = f"{office}/wordprocessingml/2006/main"
    body = ""
    for style, text in paragraphs:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        body += f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    types = "application/vnd.openxmlformats-"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{types}officedocument.wordprocessingml.document.main+xml"/>'
        f'<Override PartName="/docProps/core.xml" ContentType="{types}package.core-properties+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{office}/package/2006/relationships/metadata/core-properties" '
        'Target="docProps/core.xml"/></Relationships>',
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{office}/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Rules of the allotment garden</dc:title>'
        "<dc:creator>The Quipu authors</dc:creator></cp:coreProperties>",
        "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
    }
    with zipfile.ZipFile(path, "w") as package:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, head + text)


def main():
    (DOCUMENTS / "heat-pump.pdf").write_bytes(pdf(HEAT_PUMP))
    write_docx(DOCUMENTS / "garden-rules.docx", GARDEN)
    (DOCUMENTS / "night-train.txt").write_bytes(NIGHT_TRAIN.encode("iso-8859-1"))


if __name__ == "__main__":
    main()
