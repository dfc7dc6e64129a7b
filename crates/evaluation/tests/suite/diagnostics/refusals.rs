//! Bad input ends in one error that names argument and row.
use super::text_of;
use tropism_evaluation::Bootstrap;
use tropism_evaluation::likelihood::*;
use tropism_evaluation::pareto::{hypervolume, pareto_front};
use tropism_evaluation::ranking::*;
use tropism_evaluation::reward_model::*;
use tropism_evaluation::safety::*;
use tropism_evaluation::text::*;

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, tropism_evaluation::EvaluationError>, part: &str) {
    let text = text_of(result);
    assert!(text.contains(part), "`{text}` does not say `{part}`");
}

#[test]
fn likelihoods() {
    says(ScoredPairs::new(&[], &[]), "chosen logps is empty");
    says(ScoredPairs::new(&[0.0, f64::NAN], &[0.0, 0.0]), "chosen logps[1] is NaN");
    says(ScoredPairs::new(&[0.0], &[0.0, 0.0]), "rejected logps has 2 entries");
    let pairs = ScoredPairs::new(&[0.0], &[0.0]).unwrap();
    says(pairs.with_tokens(&[1], &[]), "rejected tokens");
    says(displacement(&pairs), "with_reference");
    says(difficulties(&pairs, 0.1), "with_reference");
    let pairs = pairs.with_reference(&[0.0], &[0.0]).unwrap();
    says(difficulties(&pairs, 0.0), "beta[0]: 0 is out of range");
    says(idealised_accuracy(&pairs, Raters::Shares(&[1.5]), &[1.0]), "shares of raters[0]");
    says(idealised_accuracy(&pairs, Raters::Same(0.5), &[]), "beta is empty");
    says(kl_exact(&[-0.1, -0.1], &[0.0]), "sum to");
    says(kl_exact(&[0.5], &[0.0]), "log p[0]");
    says(kl_estimates(&[0.0], &[0.0], &[]), "completions");
    says(did(&[0.0, f64::NEG_INFINITY], &[0.0, 0.0]), "log pi[1]");
    says(source_preference(&[0.0, 0.0], &[0.0, 0.0], 0, 2), "outcome l is 2");
    says(log_margin_order(&[1.0], &[2.0], &[2.0]), "the same everywhere");
    says(exact_match_accuracy(&[&[0.0]], &[]), "lists of places");
}

#[test]
fn texts_and_ranks() {
    says(corpus_bleu::<u8>(&[], &[], &Bleu::default(), Bootstrap::default()), "rows is empty");
    says(BleuCounts::of(&[1], &[], 4), "references is empty");
    says(BleuCounts::of(&[1], &[&[1]], 0), "BLEU's order is 0");
    says(self_bleu(&[&[1][..]], &Bleu::default()), "texts is 1");
    says(distinct_n(&[&[1][..]], 2), "n-grams is empty");
    says(repetition_n::<u8>(&[], 2), "texts is empty");
    says(length_stats(&[], None), "lengths is empty");
    says(pass_at_k(&[3], &[], 1), "correct answers");
    says(spearman(&[1.0, 1.0], &[1.0, 2.0]), "x: it is the same everywhere");
    says(kendall(&[1.0], &[1.0]), "pairs is 1");
    says(ndcg(&[-1.0], 1, Gain::Linear), "relevance[0]");
    says(ndcg(&[1.0], 0, Gain::Linear), "k is 0");
    says(mrr(&[Some(0)]), "a place is 0");
    says(pareto_front(&[]), "points is empty");
    says(hypervolume(&[vec![1.0]], &[0.0, 0.0]), "a point has 1 entries, expected 2");
}

#[test]
fn rewards_and_safety() {
    says(pair_accuracy(&[1.0], &[]), "rejected rewards is empty");
    says(scale_free_margin(&[1.0], &[1.0]), "the reward: it is the same everywhere");
    says(accuracy_by_domain(&[1.0], &[1.0], &[]), "domains");
    says(best_of_n_accuracy(&[&[1.0]]), "rewards[0]");
    says(calibration(&[1.2], &[true], Binning::EqualWidth(5), Bootstrap::default()), "confidences[0]");
    says(calibration(&[0.2], &[true], Binning::EqualWidth(0), Bootstrap::default()), "bins is 0");
    says(combine(&[], Combine::Mean), "the ensemble is empty");
    says(combine(&[&[1.0], &[]], Combine::Mean), "rewards of a member is empty");
    says(implicit_rewards(&[1.0], None, -1.0), "beta[0]");
    says(attack_success(&[]), "attempts is empty");
    says(reduction(&[true], &[]), "answers after");
    says(judge_quality(&[], &[]), "verdicts is empty");
    says(roc(&[], &[1.0]), "safe scores is empty");
    says(cras_report(&[None]), "scores is empty");
    says(TraceIndex::new(&[]), "the corpus is empty");
    says(
        trace(&[1], 0, &TraceIndex::new(&[&[1]]).unwrap(), &Surprisal::from_corpus(&[&[1]], 1).unwrap(), None),
        "the window is 0",
    );
    says(AttentionMap::new([1, 1, 1, 2], &[0.5]), "attention weights has 1 entries");
    says(AttentionMap::new([1, 1, 1, 2], &[0.5, -0.5]), "attention weights[1]");
    says(localise(&[], None, 1), "list of drifts is empty");
    let options = SeparabilityOptions { folds: 3, ..SeparabilityOptions::default() };
    says(separability(&[&[1.0], &[1.0]], &[&[1.0], &[2.0]], &[0, 1], &options), "folds is 3");
    says(separability(&[], &[], &[], &options), "pairs is empty");
}
