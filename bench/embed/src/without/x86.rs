//! Programs choose their kernels by the `cpuid` instruction, two bytes: `0F A2`. In this program and in the libraries that it
//! opens they become `0F 04`, which is no instruction and raises a signal; the handler answers as `cpuid` would have, but
//! for the features that are hidden.
//!
//! Source: Intel, Software Developer's Manual, volume 2, CPUID (leaf 7).
#![allow(unsafe_code)]

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use iced_x86::{Code, Decoder, DecoderOptions};

use super::Without;

/// What no compiler writes and no processor runs.
const NONE: [u8; 2] = [0x0F, 0x04];

/// Leaf 7, subleaf 0: IFMA; with AVX-512 as a whole F, DQ, PF, ER, CD, BW and VL too.
const LEAF_7_EBX: [u32; 2] = [1 << 21, 1 << 16 | 1 << 17 | 1 << 21 | 0b111 << 26 | 0b11 << 30];
/// VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ.
const LEAF_7_ECX: u32 = 1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14;
/// 4VNNIW, 4FMAPS, VP2INTERSECT, and AMX-BF16, FP16, AMX-TILE, AMX-INT8.
const LEAF_7_EDX: u32 = 0b11 << 2 | 1 << 8 | 0b1111 << 22;
/// Leaf 7, subleaf 1: AVX-VNNI, BF16, AMX-FP16, AVX-IFMA.
const LEAF_7_1_EAX: u32 = 0b11 << 4 | 1 << 21 | 1 << 23;
/// AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, AVX10.
const LEAF_7_1_EDX: u32 = 0b11 << 4 | 1 << 10 | 1 << 19;

/// Leaves and subleaves that are answered; others are answered with zeros, as `cpuid` does for leaves that there are not.
const LEAVES: u32 = 0x28;
const SUBLEAVES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// eax, ebx, ecx, edx.
type Answer = [u32; 4];

/// What `cpuid` said before it was taken away, less what is hidden: for each leaf and subleaf, first the plain ones, then those
/// from [`EXTENDED`] on. The handler only reads it.
static ANSWERS: OnceLock<Vec<Answer>> = OnceLock::new();

/// How often the handler has answered.
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

pub(super) fn hide(without: Without) -> anyhow::Result<()> {
    let first = ANSWERS.set(answers(without)).is_ok();
    ensure!(first, "something is hidden already");
    handle()?;
    take_away(&std::env::current_exe()?)?;
    let found = match without {
        Without::Vnni => is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"),
        Without::Avx512 => is_x86_feature_detected!("avx512f"),
    };
    ensure!(!found && ANSWERED.load(Ordering::Relaxed) > 0, "it was asked for before it could be hidden");
    Ok(())
}

pub(super) fn hide_in(library: &Path) -> anyhow::Result<()> {
    let name = std::ffi::CString::new(library.as_os_str().as_encoded_bytes())?;
    // SAFETY: a string with an end; what the library does when it is opened is as safe as opening it later.
    let opened = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    ensure!(!opened.is_null(), "{} cannot be opened", library.display());
    take_away(library)
}

fn answers(without: Without) -> Vec<Answer> {
    let mut answers = Vec::new();
    for base in [0, EXTENDED] {
        let last = __cpuid(base).eax;
        for leaf in base..base + LEAVES {
            for subleaf in 0..SUBLEAVES {
                let mut answer = [0; 4];
                if leaf <= last {
                    let said = __cpuid_count(leaf, subleaf);
                    answer = [said.eax, said.ebx, said.ecx, said.edx];
                }
                less(without, leaf, subleaf, &mut answer);
                answers.push(answer);
            }
        }
    }
    answers
}

fn less(without: Without, leaf: u32, subleaf: u32, [eax, ebx, ecx, edx]: &mut Answer) {
    match (leaf, subleaf) {
        (7, 0) => {
            *ebx &= !LEAF_7_EBX[usize::from(without == Without::Avx512)];
            *ecx &= !LEAF_7_ECX;
            *edx &= !LEAF_7_EDX;
        }
        (7, 1) => {
            *eax &= !LEAF_7_1_EAX;
            *edx &= !LEAF_7_1_EDX;
        }
        _ => {}
    }
}

fn answer(leaf: u32, subleaf: u32) -> Answer {
    let half = if leaf >= EXTENDED { LEAVES } else { 0 };
    // Most leaves have no subleaves: then all are alike, and the register holds anything.
    let subleaf = subleaf.min(SUBLEAVES - 1);
    let place = ((half + leaf % EXTENDED) * SUBLEAVES + subleaf) as usize;
    let answers = ANSWERS.get().filter(|_| leaf % EXTENDED < LEAVES);
    answers.and_then(|answers| answers.get(place)).copied().unwrap_or_default()
}

/// Lets [`NONE`] be answered.
fn handle() -> anyhow::Result<()> {
    // SAFETY: an all-zero `sigaction` is one without flags and with an empty mask; the handler has the three arguments that
    // `SA_SIGINFO` gives it.
    let refused = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut())
    };
    ensure!(refused == 0, "no handler for SIGILL: {}", std::io::Error::last_os_error());
    Ok(())
}

/// What `cpuid` does: reads eax and ecx, writes all four, goes on. It allocates nothing and locks nothing.
extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the system passes the registers of the thread that was interrupted.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = |register: c_int| register as usize;
    // SAFETY: it tried to run what lies there, and no instruction that fails is shorter than two bytes.
    if unsafe { (registers[at(libc::REG_RIP)] as *const [u8; 2]).read_unaligned() } != NONE {
        // Somebody's own: run again, it ends the process as it would have.
        // SAFETY: takes the handler away.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
        return;
    }
    let (leaf, subleaf) = (registers[at(libc::REG_RAX)] as u32, registers[at(libc::REG_RCX)] as u32);
    let said = answer(leaf, subleaf);
    let order = [libc::REG_RAX, libc::REG_RBX, libc::REG_RCX, libc::REG_RDX];
    for (register, value) in order.into_iter().zip(said) {
        registers[at(register)] = value.into();
    }
    registers[at(libc::REG_RIP)] += 2;
    ANSWERED.fetch_add(1, Ordering::Relaxed);
}

/// Turns each `cpuid` in what is mapped of `file` into an instruction that is none.
fn take_away(file: &Path) -> anyhow::Result<()> {
    let file = file.canonicalize()?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut found = 0;
    for line in
        maps.lines().filter(|line| line.find('/').is_some_and(|path| Path::new(&line[path..]) == file))
    {
        let (range, rest) = line.split_once(' ').context("a line of /proc/self/maps")?;
        if !rest.starts_with("r-xp") {
            continue;
        }
        let (start, end) = range.split_once('-').context("a range of /proc/self/maps")?;
        let (start, end) = (usize::from_str_radix(start, 16)?, usize::from_str_radix(end, 16)?);
        // SAFETY: the system has just listed this range as code of the file, which stays open; nobody else writes it.
        found += unsafe { take_away_between(start, end) }?;
    }
    ensure!(found > 0, "{} has no code that asks the processor", file.display());
    Ok(())
}

/// # Safety
/// From `start` to `end` lies code that stays mapped, whole pages of it.
unsafe fn take_away_between(start: usize, end: usize) -> anyhow::Result<usize> {
    // SAFETY: the caller's promise.
    let code = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
    let places: Vec<usize> = Decoder::with_ip(64, code, start as u64, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| instruction.code() == Code::Cpuid)
        .map(|instruction| instruction.ip() as usize)
        .collect();
    let protect = |how: c_int| {
        // SAFETY: the caller's promise; what may be done with the pages becomes more, and then what it was.
        let refused = unsafe { libc::mprotect(start as *mut c_void, end - start, how) };
        ensure!(refused == 0, "code cannot be changed: {}", std::io::Error::last_os_error());
        Ok(())
    };
    protect(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    for &place in &places {
        // SAFETY: the second byte of an instruction in the range. Whoever runs it sees the old one or the new one.
        unsafe { ((place + 1) as *mut u8).write_volatile(NONE[1]) };
    }
    protect(libc::PROT_READ | libc::PROT_EXEC)?;
    Ok(places.len())
}
