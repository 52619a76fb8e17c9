//! The symbols of a library: where they are, how they are found by their names, and their versions.

use std::collections::{HashMap, HashSet};

use object::LittleEndian;
use object::elf::{self, GnuHashHeader, HashHeader, Verdaux, Verdef, Vernaux, Verneed};
use object::pod::Pod;
use object::read::ReadRef;
use object::{U16, U32, U64};

use super::damage::{Damage, ensure};
use super::dynamic::Dynamic;
use super::header::ENDIAN;
use super::image::Extent;

/// The bits of a version's number; the others say whether it is hidden.
const VERSION: u16 = 0x7fff;

/// The numbers of versions, and whether each is one of another library, which is needed.
type Known = HashMap<u16, bool>;

/// Checks the symbols, the tables that find them, and their versions.
pub(super) fn check<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<(), Damage> {
    check_places(dynamic)?;
    let tables = [dynamic.value(elf::DT_GNU_HASH), dynamic.value(elf::DT_HASH)];
    ensure!(tables.iter().any(Option::is_some), "it has no hash table of its symbols");
    if let [Some(address), _] = tables {
        check_gnu_hash(dynamic, address)?;
    }
    if let [_, Some(address)] = tables {
        check_hash(dynamic, address)?;
    }
    check_versions(dynamic)
}

/// What is defined is where it can be.
fn check_places<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<(), Damage> {
    let image = dynamic.image;
    let locals = image.segment(elf::PT_TLS)?.map_or(0, |tls| tls.p_memsz.get(ENDIAN));
    for symbol in dynamic.symbols {
        dynamic.name(symbol.st_name.get(ENDIAN).into())?;
        let (section, value) = (symbol.st_shndx.get(ENDIAN), symbol.st_value.get(ENDIAN));
        if section == elf::SHN_UNDEF || section == elf::SHN_ABS {
            continue;
        }
        let is_there = match symbol.st_type() {
            elf::STT_FUNC | elf::STT_GNU_IFUNC => image.is_code(value),
            elf::STT_TLS => value.checked_add(symbol.st_size.get(ENDIAN)).is_some_and(|end| end <= locals),
            // Some name the end of the library.
            _ => image.whole().contains(Extent { start: value, end: value }),
        };
        ensure!(is_there, "its symbol {} is at {value:#x}", text(dynamic, symbol.st_name.get(ENDIAN)));
    }
    Ok(())
}

fn text<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>, name: u32) -> String {
    String::from_utf8_lossy(dynamic.name(name.into()).unwrap_or_default()).into_owned()
}

/// Every symbol of the table can be found in it, and each search ends.
fn check_gnu_hash<'data, R: ReadRef<'data>>(
    dynamic: &Dynamic<'data, '_, R>,
    address: u64,
) -> Result<(), Damage> {
    const WHAT: &str = "hash table";
    let image = dynamic.image;
    let wrong = |what: &str| Damage::new(format!("its hash table is wrong: {what}"));
    let header = image.slice::<GnuHashHeader<LittleEndian>>(WHAT, address, 1)?;
    let header = header.first().ok_or_else(|| wrong("it has no header"))?;
    let (buckets, first) = (header.bucket_count.get(ENDIAN), header.symbol_base.get(ENDIAN));
    let (words, shift) = (header.bloom_count.get(ENDIAN), header.bloom_shift.get(ENDIAN));
    if buckets == 0 || !words.is_power_of_two() || shift >= u32::BITS {
        return Err(wrong("its header makes no sense"));
    }
    let bloom_at = address.saturating_add(size_of_val(header) as u64);
    let bloom = image.slice::<U64<LittleEndian>>(WHAT, bloom_at, words.into())?;
    let buckets_at = bloom_at.saturating_add(size_of_val(bloom) as u64);
    let buckets = image.slice::<U32<LittleEndian>>(WHAT, buckets_at, buckets.into())?;
    if buckets.iter().all(|bucket| bucket.get(ENDIAN) == 0) {
        return Ok(());
    }
    let symbols =
        dynamic.symbols.get(first as usize..).ok_or_else(|| wrong("its first symbol is not there"))?;
    let chains_at = buckets_at.saturating_add(size_of_val(buckets) as u64);
    let chains = image.slice::<U32<LittleEndian>>(WHAT, chains_at, symbols.len() as u64)?;

    let hashes: Vec<u32> = symbols
        .iter()
        .map(|symbol| Ok(elf::gnu_hash(dynamic.name(symbol.st_name.get(ENDIAN).into())?)))
        .collect::<Result<_, Damage>>()?;
    let bucket_of = |hash: u32| hash as usize % buckets.len();
    let mut used = HashSet::new();
    for (place, (hash, chain)) in hashes.iter().zip(chains).enumerate() {
        let bucket = bucket_of(*hash);
        let begins = place.checked_sub(1).is_none_or(|before| bucket_of(hashes[before]) != bucket);
        let ends = hashes.get(place + 1).is_none_or(|next| bucket_of(*next) != bucket);
        if begins {
            used.insert(bucket);
            if buckets[bucket].get(ENDIAN) as usize != first as usize + place {
                return Err(wrong("a bucket leads elsewhere"));
            }
        }
        if chain.get(ENDIAN) != (hash & !1) | u32::from(ends) {
            return Err(wrong("a symbol has another hash"));
        }
        let word = bloom[(hash / u64::BITS) as usize % bloom.len()].get(ENDIAN);
        let bits = (1 << (hash % u64::BITS)) | (1 << ((hash >> shift) % u64::BITS));
        if word & bits != bits {
            return Err(wrong("its filter hides a symbol"));
        }
    }
    let is_stray =
        |(place, bucket): (usize, &U32<LittleEndian>)| bucket.get(ENDIAN) != 0 && !used.contains(&place);
    if buckets.iter().enumerate().any(is_stray) {
        return Err(wrong("a bucket leads nowhere"));
    }
    Ok(())
}

/// Each search in the older kind of table stays in it, and ends.
fn check_hash<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>, address: u64) -> Result<(), Damage> {
    const WHAT: &str = "hash table";
    let wrong = || Damage::new("its hash table is wrong");
    let image = dynamic.image;
    let header = image.slice::<HashHeader<LittleEndian>>(WHAT, address, 1)?;
    let header = header.first().ok_or_else(wrong)?;
    let (buckets, chains) = (header.bucket_count.get(ENDIAN), header.chain_count.get(ENDIAN));
    if buckets == 0 || chains as usize != dynamic.symbols.len() {
        return Err(wrong());
    }
    let at = address.saturating_add(size_of_val(header) as u64);
    let table = image.slice::<U32<LittleEndian>>(WHAT, at, u64::from(buckets) + u64::from(chains))?;
    let (buckets, chains) = table.split_at(buckets as usize);
    let mut seen = vec![false; chains.len()];
    for bucket in buckets {
        let mut next = bucket.get(ENDIAN) as usize;
        while next != 0 {
            // No symbol is in two chains, nor twice in one.
            if std::mem::replace(seen.get_mut(next).ok_or_else(wrong)?, true) {
                return Err(wrong());
            }
            next = chains[next].get(ENDIAN) as usize;
        }
    }
    Ok(())
}

/// Each symbol has a version that is there, of a library that is needed.
fn check_versions<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<(), Damage> {
    let Some(address) = dynamic.value(elf::DT_VERSYM) else { return Ok(()) };
    // 0: a local symbol; 1: a global one without a version.
    let mut known = Known::from([(0, false), (1, false)]);
    needed_versions(dynamic, &mut known)?;
    defined_versions(dynamic, &mut known)?;
    let versions =
        dynamic.image.slice::<U16<LittleEndian>>("versions", address, dynamic.symbols.len() as u64)?;
    for (symbol, version) in dynamic.symbols.iter().zip(versions) {
        let of = known.get(&(version.get(ENDIAN) & VERSION));
        let is_defined = symbol.st_shndx.get(ENDIAN) != elf::SHN_UNDEF;
        // What is not defined may have the version of the library itself, if it is weak.
        let fits = of.is_some_and(|is_needed| !is_needed || !is_defined);
        ensure!(
            fits,
            "its symbol {} has a version that is not there",
            text(dynamic, symbol.st_name.get(ENDIAN))
        );
    }
    Ok(())
}

fn needed_versions<'data, R: ReadRef<'data>>(
    dynamic: &Dynamic<'data, '_, R>,
    known: &mut Known,
) -> Result<(), Damage> {
    let Some(mut at) = dynamic.value(elf::DT_VERNEED) else { return Ok(()) };
    let libraries = dynamic.libraries()?;
    let count = dynamic.value(elf::DT_VERNEEDNUM).unwrap_or_default();
    // There are no more numbers for them.
    let mut rest = u64::from(VERSION);
    ensure!(count <= rest, "it needs {count} libraries with versions");
    for left in (0..count).rev() {
        let file: &Verneed<LittleEndian> = one(dynamic, at)?;
        let name = dynamic.name(file.vn_file.get(ENDIAN).into())?;
        ensure!(
            file.vn_version.get(ENDIAN) == elf::VER_NEED_CURRENT && libraries.contains(name),
            "it needs versions of a library that it does not need"
        );
        let versions = file.vn_cnt.get(ENDIAN);
        rest = rest.checked_sub(versions.into()).ok_or_else(|| Damage::new("it needs too many versions"))?;
        let mut at_version = follow(at, file.vn_aux.get(ENDIAN))?;
        for left in (0..versions).rev() {
            let version: &Vernaux<LittleEndian> = one(dynamic, at_version)?;
            let name = dynamic.name(version.vna_name.get(ENDIAN).into())?;
            ensure!(
                elf::hash(name) == version.vna_hash.get(ENDIAN),
                "a version that it needs has another hash"
            );
            known.insert(version.vna_other.get(ENDIAN).0 & VERSION, true);
            at_version = next(at_version, version.vna_next.get(ENDIAN), left.into())?;
        }
        at = next(at, file.vn_next.get(ENDIAN), left)?;
    }
    Ok(())
}

fn defined_versions<'data, R: ReadRef<'data>>(
    dynamic: &Dynamic<'data, '_, R>,
    known: &mut Known,
) -> Result<(), Damage> {
    let Some(mut at) = dynamic.value(elf::DT_VERDEF) else { return Ok(()) };
    let count = dynamic.value(elf::DT_VERDEFNUM).unwrap_or_default();
    ensure!(count <= VERSION.into(), "it defines {count} versions");
    for left in (0..count).rev() {
        let version: &Verdef<LittleEndian> = one(dynamic, at)?;
        ensure!(
            version.vd_version.get(ENDIAN) == elf::VER_DEF_CURRENT && version.vd_cnt.get(ENDIAN) > 0,
            "a version that it defines makes no sense"
        );
        let name: &Verdaux<LittleEndian> = one(dynamic, follow(at, version.vd_aux.get(ENDIAN))?)?;
        let text = dynamic.name(name.vda_name.get(ENDIAN).into())?;
        ensure!(elf::hash(text) == version.vd_hash.get(ENDIAN), "a version that it defines has another hash");
        known.insert(version.vd_ndx.get(ENDIAN).0 & VERSION, false);
        at = next(at, version.vd_next.get(ENDIAN), left)?;
    }
    Ok(())
}

fn one<'data, T: Pod, R: ReadRef<'data>>(
    dynamic: &Dynamic<'data, '_, R>,
    at: u64,
) -> Result<&'data T, Damage> {
    let found = dynamic.image.slice("versions", at, 1)?;
    found.first().ok_or_else(|| Damage::new("its versions are not there"))
}

fn follow(at: u64, offset: u32) -> Result<u64, Damage> {
    at.checked_add(offset.into()).ok_or_else(|| Damage::new("its versions lead nowhere"))
}

/// Where the next one of a list is, of which so many are left.
fn next(at: u64, offset: u32, left: u64) -> Result<u64, Damage> {
    ensure!((offset == 0) == (left == 0), "its versions end too early or too late");
    follow(at, offset)
}
