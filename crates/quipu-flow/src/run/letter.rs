//! What becomes of failed items that go to a dead-letter sink.

use super::Run;
use crate::machine::Letter;
use crate::report::Ended;
use std::sync::Arc;

/// A dead letter under way. Dropped unanswered, it ends cancelled and takes the run with it.
struct Post {
    run: Arc<Run>,
    letter: Option<Letter>,
    /// The sink is among the run's functions; this goes last.
    _works: Option<super::Works>,
}

impl Drop for Post {
    fn drop(&mut self) {
        let Some(letter) = self.letter.take() else { return };
        self.run.turn(move |machine, _| {
            machine.stop(Ended::Cancelled);
            machine.letter_cancelled(&letter);
        });
    }
}

impl Run {
    pub(super) fn spawn_letter(self: &Arc<Self>, letter: Letter) {
        let post = Post { run: self.clone(), letter: Some(letter), _works: self.works() };
        self.runtime.spawn(deliver(post));
    }
}

async fn deliver(mut post: Post) {
    let run = post.run.clone();
    let Some((failed, to)) = post.letter.as_ref().map(|letter| (letter.failed.clone(), letter.to.clone()))
    else {
        return;
    };
    let answer = tokio::select! {
        biased;
        () = run.stopping() => return,
        answer = to.deliver(failed) => answer,
    };
    if let Some(letter) = post.letter.take() {
        run.turn(move |machine, _| machine.lettered(letter, answer));
    }
}
