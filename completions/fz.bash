# Completion of fz in bash. Made by "fz completions bash".

# Sets __fz_word to what $1 means to the shell, and __fz_quote to the quote that is open at its end.
__fz_read() {
  local raw=$1 char i
  __fz_word='' __fz_quote=''
  for ((i = 0; i < ${#raw}; i++)); do
    char=${raw:i:1}
    case $__fz_quote$char in
      "'" | '"') __fz_quote=$char ;;
      "''" | '""') __fz_quote='' ;;
      "'"*) __fz_word+=$char ;;
      '\') ((++i)); __fz_word+=${raw:i:1} ;;
      '"\')
        case ${raw:i+1:1} in
          '$' | '"' | '\' | '`') ((++i)); __fz_word+=${raw:i:1} ;;
          *) __fz_word+=$char ;;
        esac ;;
      *) __fz_word+=$char ;;
    esac
  done
}

# Sets __fz_raw to the words of $1 as they were typed, the last one possibly empty.
__fz_split() {
  local line=$1 char quote='' word='' inside='' i
  __fz_raw=()
  for ((i = 0; i < ${#line}; i++)); do
    char=${line:i:1}
    case $quote$char in
      ' ' | $'\t')
        [[ -z $inside ]] || __fz_raw+=("$word")
        word='' inside=''
        continue ;;
      '\' | '"\') word+=$char; ((++i)); char=${line:i:1} ;;
      "'" | '"') quote=$char ;;
      "''" | '""') quote='' ;;
    esac
    word+=$char inside=1
  done
  __fz_raw+=("$word")
}

# Sets __fz_reply to $1 as it is typed inside the open quote.
__fz_escape() {
  local char i
  __fz_reply=''
  for ((i = 0; i < ${#1}; i++)); do
    char=${1:i:1}
    case $__fz_quote:$char in
      "':'") char="'\\''" ;;
      "':"*) ;;
      '":$' | '":"' | '":\' | '":`') char=\\$char ;;
      # Inside quotes a backslash would stay in the word.
      '":!') char='"\!"' ;;
      '":'*) ;;
      :[\]\[\ \$\"\\\`\'\&\;\|\<\>\(\)\{\}\*\?\!\#\~\^]) char=\\$char ;;
    esac
    __fz_reply+=$char
  done
  # Readline closes the quote, unless the reply ends like one.
  case $__fz_quote:$__fz_reply in
    '":'*'\"') __fz_reply=${__fz_reply%??}'"\"' ;;
    "':"*"'" | '":'*'"') __fz_reply+=$__fz_quote ;;
  esac
}

_fz() {
  local IFS=$' \t\n' __fz_raw __fz_word __fz_quote __fz_reply raw line head
  local -a words=()
  COMPREPLY=()
  __fz_split "${COMP_LINE:0:COMP_POINT}"
  for raw in "${__fz_raw[@]:1}"; do
    __fz_read "$raw"
    words+=("$__fz_word")
  done
  # Readline replaces what follows the last of its word breaks; what is before stays.
  __fz_read "${raw%"$2"}"
  head=$__fz_word
  __fz_read "$raw"
  while IFS= read -r line; do
    case $line in
      __FILE__:directory:*)
        compopt -o filenames
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "${__fz_word#"$head"}") ;;
      __FILE__:*)
        compopt -o filenames
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${__fz_word#"$head"}") ;;
      *)
        line=${line#__LITERAL__:}
        [[ $line == "$head"* ]] || continue
        __fz_escape "${line#"$head"}"
        COMPREPLY+=("$__fz_reply") ;;
    esac
  done < <(fz completions bash -- "${words[@]}" 2>/dev/null)
}

complete -F _fz fz
