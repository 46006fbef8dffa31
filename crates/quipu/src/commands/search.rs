//! `quipu search`: ask the index.

use anyhow::Result;
use quipu_index::run::Embedding;
use quipu_index::search::{self, Query, SearchError, search, search_by_endpoint};

use super::{embedding, open_reader};
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
    let embedding = if arguments.mode == Mode::Text { None } else { Some(embedding(common)?) };
    if let Some(embedding) = &embedding {
        reader.expect(&embedding.configuration())?;
    }
    let results = match &embedding {
        None => search(&reader, None, &query),
        Some(Embedding::Endpoint(endpoint)) => search_by_endpoint(&reader, endpoint, &query),
        Some(embedding) => search(&reader, Some(&**embedding.model()), &query),
    };
    let results = match results {
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
