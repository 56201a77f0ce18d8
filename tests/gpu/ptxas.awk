# PTX of models (ptxas.sh) -> the kernels that differ, in texts of about LINES lines for ptxas: DIR/ARCH.N.ptx. Two kernels are one
# where their texts are equal but for names of kernels and of labels. A file MODEL.ptx has one text after the other, each
# for an architecture; a kernel's title (`// dot.12: gpt2.nm:13`) stands above it and goes into DIR/titles, with its name.
# ALL: each is assembled for each architecture that it is there for. Else those of products and attention are, of the others
# the first architecture takes the first, the next the second, and so on.

function start_text(arch) {
    if (arch in out)
        close(out[arch])
    lines[arch] = 0
    out[arch] = DIR "/" arch "." ++texts[arch] ".ptx"
    print header[arch] ".extern .shared .align 1024 .b8 dynamic_smem[];" > out[arch]
}

function is_wanted(arch) {
    if (ALL || title ~ /^\/\/ (dot|attention|attention_grad)\./)
        return !seen[arch, key]++
    if (seen[key] == "")
        seen[key] = dealt++ % 3
    return seen[key] == number[arch] && !seen[arch, key]++
}

function end_kernel() {
    if (text != "") {
        kernels++
        if (is_wanted(arch)) {
            if (!(arch in out) || lines[arch] > LINES)
                start_text(arch)
            printf "%s", text > out[arch]
            lines[arch] += n
            print name, title > (DIR "/titles")
            distinct++
        }
    }
    text = key = name = ""
    n = 0
}

FNR == 1 { model = FILENAME; sub(/.*\//, "", model); sub(/\.ptx$/, "", model) }
/^\.version/ { end_kernel(); version = $0 "\n"; next }
/^\.target/ {
    arch = $2
    number[arch] = arch == "sm_80" ? 0 : arch == "sm_90a" ? 1 : 2
    header[arch] = version $0 "\n.address_size 64\n"
    next
}
/^\.address_size|^\.extern|^$/ { next }
/^\/\// { end_kernel(); title = $0; next }
{
    line = $0
    if (gsub(/k[0-9a-f]+_kernel/, model "_&", line) && name == "") {
        name = line
        sub(/\(.*/, "", name)
        sub(/.* /, "", name)
    }
    text = text line "\n"
    gsub(/k[0-9a-f]+_kernel/, "kernel")
    gsub(/\$L__BB[0-9]+_/, "$")
    key = key $0 "\n"
    n++
}
END { end_kernel(); print kernels " kernels, " distinct " to assemble" }
