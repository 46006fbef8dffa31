//! `quipu search`: ask the index.

use anyhow::Result;
use quipu_embed::{Embedder, Encoder};
use quipu_index::search::{self, Query, SearchError, search};

use super::{load_model, open_reader};
use crate::Ending;
use crate::args::{Common, Mode, Rank, SearchArguments};
use crate::render;

/// Runs `quipu search`.
pub(crate) fn run(common: &Common, arguments: &SearchArguments) -> Result<Ending> {
    let reader = open_reader(common)?;
    let query = Query {
        text: arguments.question.join(" "),
        mode: match arguments.mode {
            Mode::Hybrid => search::Mode::Hybrid,
            Mode::Vector => search::Mode::Vector,
            Mode::Text => search::Mode::Text,
        },
        rank: match arguments.rank {
            Rank::Default => search::Rank::Default,
            Rank::Fast => search::Rank::Fast,
        },
        filter: arguments.condition.clone(),
        limit: arguments.limit as usize,
    };
    let encoder = if arguments.mode == Mode::Text { None } else { Some(load_model(common)?) };
    if let Some(encoder) = &encoder {
        reader.expect(&quipu_index::configuration(encoder.info()))?;
    }
    let results =
        match search(&reader, encoder.as_ref().map(|encoder: &Encoder| encoder as &dyn Embedder), &query) {
            Err(SearchError::Filter(broken)) => {
                render::usage(&broken.to_string());
                return Ok(Ending::Usage);
            }
            results => results?,
        };
    if common.json {
        render::json(&results)?;
    } else {
        render::hits(&results)?;
    }
    Ok(Ending::Well)
}
