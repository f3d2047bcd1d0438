//! Latencies, counted.

use std::ops::RangeInclusive;

/// Counts by powers of two, each in four parts: a value is known to a fifth of itself.
#[derive(Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    /// The largest value.
    pub(super) longest: u64,
}

const PARTS: u32 = 4;

impl Histogram {
    pub(super) fn note(&mut self, value: u64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.longest = self.longest.max(value);
    }

    pub(super) fn add(&mut self, other: &Histogram) {
        let len = self.counts.len().max(other.counts.len());
        self.counts.resize(len, 0);
        for (sum, more) in self.counts.iter_mut().zip(&other.counts) {
            *sum += more;
        }
        self.longest = self.longest.max(other.longest);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the upper bound of the bucket below which `part` of all values lie, at most the longest.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return range(bucket).end().to_owned().min(self.longest);
            }
        }
        self.longest
    }

    /// Returns the lower bound and the count of each bucket from the first to the last that has any, and the end.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let first = self.counts.iter().position(|count| *count > 0).unwrap_or(0);
        let used = self.counts.iter().enumerate().skip(first);
        let points = used.map(|(bucket, count)| (*range(bucket).start() as f64, *count as f64));
        let end = (range(self.counts.len()).start().to_owned() as f64, 0.0);
        points.chain([end]).collect()
    }
}

fn bucket(value: u64) -> usize {
    let parts = u64::from(PARTS);
    if value < parts {
        return value as usize;
    }
    let log2 = value.ilog2();
    let within = value >> (log2 - 2) & (parts - 1);
    (u64::from(log2 - 1) * parts + within) as usize
}

/// Returns the values that a bucket counts.
fn range(bucket: usize) -> RangeInclusive<u64> {
    let bucket = bucket as u64;
    let parts = u64::from(PARTS);
    if bucket < parts {
        return bucket..=bucket;
    }
    let shift = bucket / parts - 1;
    let start = (parts + bucket % parts) << shift;
    start..=start + (1 << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_its_bucket_and_buckets_join() {
        for value in (0..5000).chain([1 << 20, (1 << 40) + 12345]) {
            assert!(range(bucket(value)).contains(&value), "{value}");
        }
        for n in 0..200 {
            assert_eq!(range(n).end() + 1, *range(n + 1).start(), "{n}");
        }
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list_to_a_fifth() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.note(value));
        for (part, expected) in [(0.5, 5000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let found = histogram.quantile(part) as f64;
            assert!((found / expected - 1.0).abs() < 0.2, "{part}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), 10_000);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn points_keep_every_count() {
        let mut histogram = Histogram::default();
        for value in [100, 101, 5000, 90_000] {
            histogram.note(value);
        }
        let points = histogram.points();
        assert_eq!(points.iter().map(|point| point.1).sum::<f64>(), 4.0);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
    }
}
