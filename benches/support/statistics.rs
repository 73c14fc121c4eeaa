//! Medians and spreads.

/// The value below which this part of all values lies.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// How two contenders compare, from their values of the same rounds.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    /// A tenth of all rounds lies below, a tenth above.
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    pub fn of(values: &[f64], to: &[f64]) -> Ratio {
        let ratios: Vec<f64> = values.iter().zip(to).map(|(value, to)| value / to).collect();
        Ratio { median: median(&ratios), low: quantile(&ratios, 0.1), high: quantile(&ratios, 0.9) }
    }
}
