//! Many tests at once: adjusted p-values, and which models they cannot tell apart.

/// Holm's adjustment: of the sorted p-values p₍₁₎ ≤ … ≤ p₍m₎ the running maximum of (m − i + 1) p₍ᵢ₎, at most 1, in the
/// order in which they were given. Rejecting those of at most α keeps the chance of any false rejection at α.
///
/// Source: Holm, Scandinavian Journal of Statistics 6 (1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (before, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - before) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// [`holm`] of those that are defined; the others stay undefined and count for nothing.
pub fn holm_of_defined(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let defined: Vec<f64> = p_values.iter().copied().flatten().collect();
    let mut adjusted = holm(&defined).into_iter();
    p_values.iter().map(|p_value| p_value.and_then(|_| adjusted.next())).collect()
}

/// The largest groups of models no two of which differ, as in a compact letter display: a model may be of several.
/// The groups, and the models of each, stand in the order of the models' numbers.
///
/// Source: Piepho, Journal of Computational and Graphical Statistics 13 (2004); groups are found as the maximal cliques
/// of the graph of pairs that do not differ (Bron and Kerbosch, 1973).
pub fn indistinct_groups(models: usize, differ: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut alike = vec![Vec::new(); models];
    for a in 0..models {
        for b in a + 1..models {
            if !differ(a, b) {
                alike[a].push(b);
                alike[b].push(a);
            }
        }
    }
    let mut groups = Vec::new();
    extend(&mut Vec::new(), (0..models).collect(), Vec::new(), &alike, &mut groups);
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort();
    groups
}

/// Adds to `groups` those that hold `group`, some of `candidates` and none of `done`.
fn extend(
    group: &mut Vec<usize>,
    mut candidates: Vec<usize>,
    mut done: Vec<usize>,
    alike: &[Vec<usize>],
    groups: &mut Vec<Vec<usize>>,
) {
    if candidates.is_empty() && done.is_empty() && !group.is_empty() {
        groups.push(group.clone());
    }
    while let Some(model) = candidates.pop() {
        let of = |models: &[usize]| models.iter().copied().filter(|other| alike[model].contains(other)).collect();
        group.push(model);
        extend(group, of(&candidates), of(&done), alike, groups);
        group.pop();
        done.push(model);
    }
}
