//! Figures as people read them.

/// Writes a whole number with its thousands grouped: 16,384.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a figure with its thousands grouped and so many decimals: 1,234.56.
pub(super) fn fixed(figure: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", figure.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let whole = whole.parse().map_or(whole.into(), grouped);
    let sign = if figure < 0.0 { "-" } else { "" };
    format!("{sign}{whole}{rest}")
}

/// Writes a figure in six columns at most: 9,999, then 12.3k, 4.56M, 7.89G.
pub(super) fn short(figure: f64) -> String {
    let round = figure.round();
    if round < 1e4 {
        return grouped(round as u64);
    }
    let (scaled, unit) = match figure {
        ..999_500.0 => (figure / 1e3, "k"),
        ..999_500_000.0 => (figure / 1e6, "M"),
        ..999_500_000_000.0 => (figure / 1e9, "G"),
        _ => (figure / 1e12, "T"),
    };
    let decimals = match scaled {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{}{unit}", fixed(scaled, decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let all = [0, 7, 999, 1000, 16_384, 999_999, 1_000_000, u64::MAX];
        assert_eq!(
            all.map(grouped).join(" "),
            "0 7 999 1,000 16,384 999,999 1,000,000 18,446,744,073,709,551,615"
        );
        let figures = [(0.5, 2), (1234.567, 2), (999_999.99, 0), (-1234.5, 1)];
        assert_eq!(
            figures
                .map(|(figure, decimals)| fixed(figure, decimals))
                .join(" "),
            "0.50 1,234.57 1,000,000 -1,234.5"
        );
    }

    #[test]
    fn short_figures_have_six_columns() {
        let figures = [
            0.0,
            0.4,
            9999.0,
            9999.6,
            12_345.0,
            99_960.0,
            999_499.0,
            999_600.0,
            1_234_567.0,
            45_678_900.0,
            2.5e9,
            7e12,
        ];
        let texts = figures.map(short);
        assert_eq!(
            texts.join(" "),
            "0 0 9,999 10.0k 12.3k 100k 999k 1.00M 1.23M 45.7M 2.50G 7.00T"
        );
        assert!(texts.iter().all(|text| text.len() <= 6));
    }
}
