//! Asking on several threads, and writing each answer down as it comes.
use super::error::JudgeError;
use super::journal::{Journal, Said, settled};
use super::run::{RunOptions, Task};
use super::verdict::{FailureKind, Judge};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};

/// Asks the open questions on several threads and writes each answer down as it comes; returns how many were asked.
pub(super) fn ask(
    judge: &dyn Judge,
    open: &[&Task],
    options: &RunOptions,
    mut journal: Option<&mut Journal>,
    said: &mut BTreeMap<String, Said>,
    (resumed, total): (usize, usize),
    mut progress: impl FnMut(usize, usize),
) -> Result<usize, JudgeError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..options.workers.clamp(1, open.len().max(1)) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || work(judge, open, next, stop, &send));
        }
        drop(send);
        let (mut asked, mut done, mut silent, mut ended) = (0, resumed, 0, None);
        for (i, answer) in answers {
            let task: &Task = open[i];
            (asked, done) = (asked + 1, done + usize::from(settled(&answer)));
            let kind = answer.as_ref().err().map(|f| f.kind);
            let kept = journal.as_mut().map_or(Ok(()), |j| j.append(&task.key, task.id, &answer));
            silent = if kind == Some(FailureKind::NotAnswered) { silent + 1 } else { 0 };
            let over = kind == Some(FailureKind::Setup) || silent >= options.stop_after.max(1);
            if let (None, true, Err(failure)) = (&ended, over, &answer) {
                ended = Some(failure.reason.clone());
            }
            said.insert(task.key.clone(), answer);
            if kept.is_err() || ended.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            kept?;
            progress(resumed + asked, total);
        }
        ended.map_or(Ok(asked), |reason| Err(JudgeError::Stopped { done, total, reason }))
    })
}

fn work(judge: &dyn Judge, open: &[&Task], next: &AtomicUsize, stop: &AtomicBool, send: &Sender<(usize, Said)>) {
    while !stop.load(Ordering::Relaxed) {
        let i = next.fetch_add(1, Ordering::Relaxed);
        let Some(task) = open.get(i) else { return };
        if send.send((i, judge.judge(task.question))).is_err() {
            return;
        }
    }
}
