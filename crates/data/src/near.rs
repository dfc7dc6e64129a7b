//! Names in the order of their likeness to another, for errors about unknown ones.

/// The names, the nearest to `name` first, quoted and with commas between.
pub(crate) fn listed<S: AsRef<str>>(name: &str, present: &[S]) -> String {
    let mut sorted: Vec<&str> = present.iter().map(AsRef::as_ref).collect();
    sorted.sort_by_cached_key(|there| (distance(there, name), (*there).to_owned()));
    let listed: Vec<String> = sorted.iter().map(|name| format!("`{name}`")).collect();
    listed.join(", ")
}

/// Edit distance (insertions, deletions, substitutions), by the row method.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("chosen", "choosen", 1)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn nearest_comes_first() {
        assert_eq!(listed("chosen", &["answer", "rejected", "chosem"]), "`chosem`, `answer`, `rejected`");
    }
}
