//! The token sink that turns tags and characters into prose ([`Reader`]) and leaves a [`Page`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use html5ever::LocalName;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};

use super::elements::{Role, is_void, role};
use crate::Limits;
use crate::document::{FIELD_BYTES_MAX, one_line};
use crate::prose::Prose;

/// Most `<meta>` fields kept.
const FIELDS_MAX: usize = 200;
/// Longest raw title collected, in bytes.
const TITLE_BYTES_MAX: usize = 16 << 10;

/// What a pass over a page has found.
pub(super) struct Page {
    pub(super) prose: Prose,
    pub(super) title: String,
    pub(super) language: Option<String>,
    /// `<meta>` fields by lower-case name; the first of a name counts.
    pub(super) fields: BTreeMap<String, String>,
    /// Noise was left out, and either nothing else was there or it never ended.
    pub(super) is_suspiciously_bare: bool,
}

/// Receives tokens. The tokenizer hands out `&self`, hence the cells.
pub(super) struct Reader {
    state: RefCell<State>,
    full: Cell<bool>,
}

struct State {
    page: Page,
    skip_noise: bool,
    skipping: Option<Skip>,
    noise_seen: bool,
    articles: usize,
    preformatted: usize,
    /// The newline right after `<pre>` does not count.
    pre_just_opened: bool,
    title: TitleState,
    /// Open lists: the number of the last item, if they are numbered.
    lists: Vec<Option<u32>>,
    /// Open tables: rows and cells of the row begun so far.
    tables: Vec<(usize, usize)>,
}

/// An element that is being left out, up to its own end tag.
struct Skip {
    name: LocalName,
    depth: usize,
    noise: bool,
}

#[derive(PartialEq)]
enum TitleState {
    Awaited,
    Open,
    Done,
}

impl Reader {
    pub(super) fn new(skip_noise: bool, limits: &Limits) -> Self {
        let page = Page {
            prose: Prose::new(limits),
            title: String::new(),
            language: None,
            fields: BTreeMap::new(),
            is_suspiciously_bare: false,
        };
        let state = State {
            page,
            skip_noise,
            skipping: None,
            noise_seen: false,
            articles: 0,
            preformatted: 0,
            pre_just_opened: false,
            title: TitleState::Awaited,
            lists: Vec::new(),
            tables: Vec::new(),
        };
        Reader { state: RefCell::new(state), full: Cell::new(false) }
    }

    /// Whether the text has passed its limit.
    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }

    pub(super) fn into_page(self) -> Page {
        let mut state = self.state.into_inner();
        let unclosed = state.skipping.as_ref().is_some_and(|skip| skip.noise);
        let bare = state.noise_seen && state.page.prose.is_empty();
        state.page.is_suspiciously_bare = state.skip_noise && (unclosed || bare);
        state.page
    }
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                state.start_tag(&tag);
                return state.tokenizer_state(&tag.name);
            }
            Token::TagToken(tag) => state.end_tag(&tag.name),
            Token::CharacterTokens(text) => state.characters(&text),
            _ => {}
        }
        self.full.set(state.page.prose.is_full());
        TokenSinkResult::Continue
    }
}

impl State {
    /// How the tokenizer shall read an element's content: what a tree builder would tell it.
    fn tokenizer_state(&self, name: &LocalName) -> TokenSinkResult<()> {
        if self.skipping.as_ref().is_some_and(|skip| &*skip.name == "svg") {
            return TokenSinkResult::Continue;
        }
        match &**name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn start_tag(&mut self, tag: &Tag) {
        self.pre_just_opened = false;
        let role = role(&tag.name);
        if let Some(skip) = &mut self.skipping {
            if skip.noise && role == Role::Main {
                self.skipping = None;
            } else {
                skip.depth += usize::from(tag.name == skip.name && !tag.self_closing);
                return;
            }
        }
        if self.left_out(tag, role) {
            let noise = matches!(role, Role::Noise | Role::Footer);
            self.noise_seen |= noise;
            self.page.prose.space();
            self.skipping = Some(Skip { name: tag.name.clone(), depth: 1, noise });
            return;
        }
        match &*tag.name {
            "html" => self.page.language = attribute(tag, "lang").and_then(|lang| one_line(lang, 64)),
            "meta" => self.meta(tag),
            "img" => self.image(tag),
            _ => {}
        }
        self.open(role);
    }

    /// Whether this element's content is no text of the page.
    fn left_out(&mut self, tag: &Tag, role: Role) -> bool {
        if is_void(&tag.name) {
            return false;
        }
        match role {
            Role::Hidden => {
                if &*tag.name == "title" && self.title == TitleState::Awaited {
                    self.title = TitleState::Open;
                }
                !(tag.self_closing && matches!(&*tag.name, "svg" | "rp"))
            }
            Role::Noise => self.skip_noise,
            Role::Footer => self.skip_noise && self.articles == 0,
            _ => attribute(tag, "hidden").is_some_and(|value| value != "until-found") && &*tag.name != "body",
        }
    }

    /// What a start tag of this role means for the text.
    fn open(&mut self, role: Role) {
        let prose = &mut self.page.prose;
        match role {
            Role::Line => prose.line(),
            Role::Paragraph | Role::Footer | Role::Noise => prose.paragraph(),
            Role::Main => {
                self.articles += 1;
                prose.paragraph();
            }
            Role::Heading(level) => prose.heading_start(level),
            Role::List { numbered } => {
                prose.paragraph();
                self.lists.push(numbered.then_some(0));
            }
            Role::Item => self.item(),
            Role::Table => {
                prose.paragraph();
                self.tables.push((0, 0));
            }
            Role::Row => {
                if let Some((rows, cells)) = self.tables.last_mut() {
                    if *rows > 0 {
                        prose.next_row()
                    } else {
                        prose.line()
                    }
                    *rows += 1;
                    *cells = 0;
                }
            }
            Role::Cell => {
                if let Some((_, cells)) = self.tables.last_mut() {
                    prose.cell(*cells == 0);
                    *cells += 1;
                }
            }
            Role::Preformatted => {
                prose.paragraph();
                self.preformatted += 1;
                self.pre_just_opened = true;
            }
            Role::Break => {
                if self.preformatted > 0 {
                    prose.verbatim("\n")
                } else {
                    prose.line()
                }
            }
            Role::Inline | Role::Hidden => {}
        }
    }

    fn item(&mut self) {
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{number}.")
            }
            _ => String::from("-"),
        };
        self.page.prose.item(marker);
    }

    fn end_tag(&mut self, name: &LocalName) {
        self.pre_just_opened = false;
        if let Some(skip) = &mut self.skipping {
            if *name == skip.name {
                skip.depth -= 1;
                if skip.depth == 0 {
                    self.skipping = None;
                    if self.title == TitleState::Open {
                        self.title = TitleState::Done;
                    }
                }
            }
            return;
        }
        let prose = &mut self.page.prose;
        match role(name) {
            Role::Line => prose.line(),
            Role::Item => prose.item_end(),
            Role::Paragraph | Role::Footer | Role::Noise => prose.paragraph(),
            Role::Main => {
                self.articles = self.articles.saturating_sub(1);
                prose.paragraph();
            }
            Role::Heading(_) => prose.heading_end(),
            Role::List { .. } => {
                self.lists.pop();
                prose.paragraph();
            }
            Role::Table => {
                self.tables.pop();
                prose.table_end();
            }
            Role::Preformatted => {
                self.preformatted = self.preformatted.saturating_sub(1);
                prose.paragraph();
            }
            Role::Row | Role::Cell | Role::Break | Role::Inline | Role::Hidden => {}
        }
    }

    fn characters(&mut self, text: &str) {
        if self.skipping.is_some() {
            if self.title == TitleState::Open && self.page.title.len() < TITLE_BYTES_MAX {
                self.page.title.push_str(text);
            }
            return;
        }
        if self.preformatted == 0 {
            return self.page.prose.words(text);
        }
        let text = if std::mem::take(&mut self.pre_just_opened) {
            text.strip_prefix('\n').unwrap_or(text)
        } else {
            text
        };
        self.page.prose.verbatim(text);
    }

    fn meta(&mut self, tag: &Tag) {
        let name = attribute(tag, "name").or_else(|| attribute(tag, "property"));
        if let (Some(name), Some(content)) = (name, attribute(tag, "content"))
            && self.page.fields.len() < FIELDS_MAX
            && let (Some(name), Some(value)) = (one_line(name, 64), one_line(content, FIELD_BYTES_MAX))
        {
            self.page.fields.entry(name.to_lowercase()).or_insert(value);
        }
    }

    /// The words that stand for a picture are part of the text.
    fn image(&mut self, tag: &Tag) {
        if let Some(words) = attribute(tag, "alt") {
            self.page.prose.space();
            self.page.prose.words(words);
            self.page.prose.space();
        }
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}
