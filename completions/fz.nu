# Helper to split a command line into the arguments Nushell would pass to
# an external command.  Words are found the way Nushell's lexer finds them
# (quotes and raw strings may contain whitespace), then each word is decoded
# like an external argument.  A final empty argument is added when the line
# ends in unquoted whitespace, for the word about to be completed.
def args-split []: string -> list<string> {
  let WHITESPACES = [" " "\t" "\n" "\r"]
  let QUOTES = ["'" '"' "`"]

  # Decodes one word.  An unterminated word is the one still being typed,
  # so its open quote is taken as if it were closed.
  let decode = {|word: string, unterminated: bool|
    let hashes = if ($word | str starts-with "r#") {
      $word | str replace -r '(?s)^r(#+).*$' '$1'
    } else {
      ""
    }
    if ($hashes | is-not-empty) {
      let prefix = "r" + $hashes + "'"
      let suffix = "'" + $hashes
      let size = ($hashes | str length)
      if ($word | str starts-with $prefix) and ($word | str ends-with $suffix) and (($word | str length) >= ($size * 2 + 3)) {
        $word | str replace $prefix "" | str replace -r ($suffix + '$') ""
      } else if $unterminated and ($word | str starts-with $prefix) {
        $word | str replace $prefix ""
      } else {
        $word
      }
    } else {
      mut result = ""
      mut quote = ""
      mut quoted = ""
      mut escaped = false
      for char in ($word | split chars) {
        if $quote == "" {
          if ($char in $QUOTES) {
            $quote = $char
            $quoted = ""
          } else {
            $result = $result + $char
          }
        } else if $escaped {
          $quoted = $quoted + $char
          $escaped = false
        } else if $char == $quote {
          let body = $quoted
          $result = $result + (if $quote == '"' {
            try { '"' + $body + '"' | from nuon } catch { $body }
          } else {
            $body
          })
          $quote = ""
        } else {
          $quoted = $quoted + $char
          $escaped = ($quote == '"' and $char == '\')
        }
      }
      if $quote != "" {
        let body = $quoted
        $result = $result + (if not $unterminated {
          $quote + $body
        } else if $quote == '"' {
          try { '"' + $body + '"' | from nuon } catch { $body }
        } else {
          $body
        })
      }
      $result
    }
  }

  mut words: list<string> = []
  mut word = ""
  mut in_word = false
  mut quote = ""
  mut escaped = false
  mut raw_hashes = ""
  mut raw_pending = ""
  mut prev = ""
  mut trailing_space = false

  for char in ($in | split chars) {
    $trailing_space = false
    if $quote == "#" and $char != "#" and $char != "'" {
      # Not a raw string after all; lex this character normally
      $quote = ""
    }
    if $quote == "r" {
      # Inside a raw string, which ends at ' followed by the same number of #
      if ($raw_pending | is-not-empty) and $char == "#" {
        $raw_pending = $raw_pending + $char
      } else if $char == "'" {
        $raw_pending = $char
      } else {
        $raw_pending = ""
      }
      if $raw_pending == ("'" + $raw_hashes) {
        $quote = ""
        $raw_pending = ""
      }
      $word = $word + $char
    } else if $quote == "#" {
      # Between r# and the opening ' of a raw string
      $word = $word + $char
      if $char == "#" {
        $raw_hashes = $raw_hashes + $char
      } else {
        $quote = "r"
      }
    } else if $quote != "" {
      $word = $word + $char
      if $escaped {
        $escaped = false
      } else if $char == $quote {
        $quote = ""
      } else {
        $escaped = ($quote == '"' and $char == '\')
      }
    } else if ($char in $WHITESPACES) {
      if $in_word {
        $words = $words | append (do $decode $word false)
        $word = ""
        $in_word = false
      }
      $trailing_space = true
    } else {
      if ($char in $QUOTES) {
        $quote = $char
      } else if $char == "#" and $prev == "r" {
        $quote = "#"
        $raw_hashes = "#"
      }
      $word = $word + $char
      $in_word = true
    }
    $prev = $char
  }
  if $in_word {
    $words = $words | append (do $decode $word ($quote != ""))
  } else if $trailing_space {
    $words = $words | append ""
  }
  $words
}

# Helper to tell whether Nushell would not read a value back verbatim as a
# single argument.  A leading ! is included because the line editor expands
# history (e.g., !!) there.  With --allow-expansion, a leading tilde and n-dot
# path segments (e.g., ...) are allowed to expand.
def needs-quote [--allow-expansion]: string -> bool {
  let value = $in
  let special = ["'" '"' '`' "#" "(" ")" "[" "]" "{" "}" "|" ";" "&" "$" "*" "?" "<" ">"]
  (
    ($value =~ '\s')
    or ($special | any {|c| $value | str contains $c })
    or ($value =~ '^(\+\+|[-+*/])?=$')
    or ($value | str starts-with '!')
    or ((not $allow_expansion) and (
      ($value | str starts-with '~')
      or ($value | split row -r '[/\\]' | any {|s| $s =~ '^\.{3,}$' })
    ))
  )
}

# Helper to quote a value so that Nushell reads it back verbatim as a
# single argument.  The line editor expands history at a ! that follows
# whitespace even inside quotes, so such a ! is put between two quoted parts,
# right after a quote, where it is left alone.
def quote-arg []: string -> string {
  let value = $in
  if ($value | is-empty) or not ($value | needs-quote) {
    $value
  } else if ($value | str contains "'") {
    '"' + ($value | str replace -a '\' '\\' | str replace -a '"' '\"' | str replace -ar '(\s)!' '${1}"!"') + '"'
  } else {
    "'" + ($value | str replace -ar '(\s)!' "${1}'!'") + "'"
  }
}

# Completion command that calls back to the CLI
export def "nu-complete-fz" [context: string] {
  # Split context into the arguments Nushell would pass, including an empty
  # one for a new word when the context ends in unquoted whitespace
  let tokens = $context | args-split

  # Remove the command name (first token) to get arguments
  let args = if ($tokens | length) > 1 {
    $tokens | skip 1
  } else {
    []
  }

  # Ensure at least one argument (empty string) to get completions not script
  let final_args = if ($args | is-empty) {
    ['']
  } else {
    $args
  }

  let output = try {
    ^fz 'completions' 'nu' '--' ...$final_args | complete | get stdout
  } catch {
    ""
  }

  # Process each line of output
  $output | lines | each {|raw_line|
    let literal = ($raw_line | str starts-with '__LITERAL__:')
    let line = if $literal { $raw_line | str substring 12.. } else { $raw_line }
    if (not $literal) and ($line | str starts-with '__FILE__:') {
      # Parse file completion directive: __FILE__:type:extensions:pattern:hidden
      let directive = ($line | split row "	" | first)
      let parts = ($directive | split row ':')
      let type = ($parts | get 1)
      let extensions = ($parts | get 2)
      let pattern = ($parts | get 3 | str replace -a '%3A' ':' | str replace -a '%25' '%')
      let hidden = ($parts | get 4) == '1'

      let insertion_prefix = if ($parts | length) > 5 {
        $parts | get 5 | str replace -a '%3A' ':' | str replace -a '%25' '%'
      } else { "" }

      # Extract prefix from the last argument if it exists
      let prefix = if ($final_args | length) > 0 {
        $final_args | last
      } else {
        ""
      }

      let insertion_prefix = if ($insertion_prefix | is-not-empty) and ($pattern | str starts-with $insertion_prefix) and ($prefix | str starts-with $insertion_prefix) { $insertion_prefix } else { "" }
      let prefix_length = ($insertion_prefix | str length)
      let pattern = if $prefix_length > 0 { $pattern | str substring $prefix_length.. } else { $pattern }
      let prefix = if $prefix_length > 0 { $prefix | str substring $prefix_length.. } else { $prefix }

      # When a pattern is specified, use it as the glob base instead of
      # the user-typed prefix.  If the user has already typed beyond the
      # pattern (e.g., pattern="src/" and prefix="src/ma"), keep the
      # prefix for incremental narrowing.  Normalize path separators
      # before comparing so that Windows backslashes match forward slashes
      # in the transported pattern.
      let is_win = (($nu.os-info.name | str downcase) == "windows")
      let glob_base = if ($pattern | is-not-empty) {
        # Normalize separators and leading ./; downcase only on Windows
        # where filesystems are typically case-insensitive
        let norm_prefix_raw = ($prefix | str replace -a '\' '/' | str replace -r '^\./' '')
        let norm_pattern_raw = ($pattern | str replace -a '\' '/' | str replace -r '^\./' '')
        let norm_prefix = (if $is_win { $norm_prefix_raw | str downcase } else { $norm_prefix_raw })
        let norm_pattern = (if $is_win { $norm_pattern_raw | str downcase } else { $norm_pattern_raw })
        # For wildcard patterns, compare only the directory prefix
        let compare_pattern = if ($norm_pattern =~ '[*?]') {
          let before_wild = ($norm_pattern | str replace -r '[*?].*' '')
          if ($before_wild =~ '/') { $before_wild | str replace -r '/[^/]*$' '/' } else { "" }
        } else {
          $norm_pattern
        }
        if (($compare_pattern | is-not-empty) or ($norm_prefix | is-not-empty)) and ($norm_prefix | str starts-with $compare_pattern) and (($norm_prefix | str length) >= ($compare_pattern | str length)) and ($prefix != $pattern) {
          $prefix
        } else {
          $pattern
        }
      } else {
        $prefix
      }

      # Intersect fixed glob matches with the narrowed prefix candidates.
      # Directory-only suggestions retain their existing navigation behavior.
      let narrow_fixed_glob = ($type != "directory") and ($pattern =~ '[*?]') and ($prefix != $pattern) and ($glob_base == $prefix)
      let fixed_matches = if $narrow_fixed_glob {
        try {
          let fixed_pattern = ($pattern | into glob)
          let include_hidden = $hidden or ($prefix | path basename | str starts-with '.')
          let matches = if $include_hidden { ls -a --directory $fixed_pattern } else { ls --directory $fixed_pattern }
          $matches | each {|item|
            let name = ($env.PWD | path join $item.name | path expand --no-symlink)
            if $is_win { $name | str downcase } else { $name }
          }
        } catch { [] }
      } else { [] }

      # If the glob base is a directory without a trailing slash (e.g., "src"),
      # append one so that ls enumerates its contents instead of matching
      # siblings like "src-old".  path expand follows symlinks, so that
      # a symlink to a directory is treated the same way; --no-symlink first
      # resolves .. against the logical $env.PWD as ls does
      let glob_base = if ($glob_base | is-not-empty) and ($glob_base | path expand --no-symlink | path expand | path type) == "dir" and (not ($glob_base | str ends-with "/")) {
        $glob_base + "/"
      } else {
        $glob_base
      }

      # Generate file completions based on type.
      # When the glob base contains wildcard characters, use it as-is;
      # otherwise append * to treat it as a prefix.
      # Note: into glob is required so that ls expands wildcards from a variable.
      # A literal prefix has its brackets wrapped as [[] and []] so that path
      # text like "report[1]" is not parsed as a glob character class; a
      # wildcard pattern is a glob as a whole, so its brackets stay classes.
      let has_glob = ($glob_base =~ '[*?]')
      let ls_pattern = if ($glob_base | is-empty) {
        "."
      } else if $has_glob {
        ($glob_base | into glob)
      } else {
        (($glob_base | str replace -a -r '([\[\]])' '[$1]') + "*" | into glob)
      }

      # When using a glob pattern, also compute a directory listing pattern
      # so that file/any modes can include directories for navigation; its
      # directory part is a literal path
      let glob_dir_pattern = if $has_glob {
        let dir_part = ($glob_base | path dirname)
        let dir = if ($dir_part | is-empty) or ($dir_part == $glob_base) { "." } else { $dir_part }
        (($dir | str replace -a -r '([\[\]])' '[$1]') + "/*" | into glob)
      } else {
        null
      }

      # List entries matching a pattern, using ls -a to include hidden
      # files when requested.  ls reports every symlink as type "symlink",
      # so classify each one by its target's type instead (path expand
      # follows symlinks); broken or looping symlinks stay "symlink".
      # Join the name to $env.PWD first so that a leading ~ in an entry
      # name is not expanded to a home directory, and resolve .. against
      # the logical $env.PWD (--no-symlink) before following the symlink
      let list_entries = {|pattern|
        (if $hidden { ls -a $pattern } else { ls $pattern }) | each {|item|
          if $item.type == symlink {
            $item | update type ($env.PWD | path join $item.name | path expand --no-symlink | path expand | path type)
          } else {
            $item
          }
        }
      }

      let items = try {
        match $type {
          "file" => {
            if ($extensions | is-empty) {
              (do $list_entries $ls_pattern) | where type == file or type == dir
            } else {
              let ext_list = ($extensions | split row ',' | each {|e| $e | str replace -r '^\.' '' })
              let all_items = (do $list_entries $ls_pattern)
              let dirs = $all_items | where type == dir
              let files = $all_items | where type == file | where {|f|
                $ext_list | any {|ext|
                  $f.name | path basename | str ends-with ('.' + $ext)
                }
              }
              $dirs | append $files
            }
          },
          "directory" => {
            (do $list_entries $ls_pattern) | where type == dir
          },
          "any" => {
            if ($extensions | is-empty) {
              do $list_entries $ls_pattern
            } else {
              let ext_list = ($extensions | split row ',' | each {|e| $e | str replace -r '^\.' '' })
              let all_items = (do $list_entries $ls_pattern)
              let dirs = $all_items | where type == dir
              let files = $all_items | where type == file | where {|f|
                $ext_list | any {|ext|
                  $f.name | path basename | str ends-with ('.' + $ext)
                }
              }
              $dirs | append $files
            }
          }
        }
      } catch {
        []
      }

      # When using a glob pattern, also add directories from the base
      # directory for navigation (file/any modes should list directories
      # even when the glob itself does not match directory names)
      let items = if ($glob_dir_pattern != null) and ($type != "directory") {
        let extra_dirs = try {
          (do $list_entries $glob_dir_pattern) | where type == dir
        } catch {
          []
        }
        $items | append $extra_dirs | uniq-by name
      } else {
        $items
      }

      # Filter out hidden files unless requested.
      # Check the basename of glob_base so that patterns like "src/.e"
      # correctly target hidden entries.
      let glob_basename = ($glob_base | path basename)
      let filtered = if $hidden or ($glob_basename | str starts-with '.') {
        $items
      } else {
        $items | where {|item|
          let basename = ($item.name | path basename)
          not ($basename | str starts-with '.')
        }
      }

      let filtered = if $narrow_fixed_glob {
        $filtered | where {|item|
          # Any-mode listings already include directory symlinks; keep them
          # navigable without changing their existing completion rendering.
          let navigation_dir = ($item.type == dir) or ($item.type == symlink and (try { ($item.name | path expand | path type) == "dir" } catch { false }))
          let name = ($env.PWD | path join $item.name | path expand --no-symlink)
          let normalized_name = if $is_win { $name | str downcase } else { $name }
          $navigation_dir or ($normalized_name in $fixed_matches)
        }
      } else { $filtered }

      # Extract directory prefix to preserve in completion text
      let dir_prefix = if ($glob_base | is-empty) {
        ""
      } else if ($glob_base | str ends-with "/") {
        $glob_base
      } else {
        let parsed = ($glob_base | path parse)
        if ($parsed.parent | is-empty) { "" } else if ($parsed.parent | str ends-with "/") { $parsed.parent } else { $parsed.parent + "/" }
      }

      # Format file completions, quoting names that Nushell would not read
      # back as a single argument
      $filtered | each {|item|
        let base = if $item.type == dir {
          ($item.name | path basename) + "/"
        } else {
          $item.name | path basename
        }
        let name = $dir_prefix + $base
        # Nushell expands a leading tilde even in a file name, but not after ./
        let spelled = if ($dir_prefix | is-empty) and ($base | str starts-with '~') {
          './' + $base
        } else {
          $name
        }
        # A tilde or n-dot prefix typed by the user is meant to be expanded
        # by Nushell, which quoting would prevent, so expand such a prefix
        # here when the value has to be quoted
        let literal_ndots = ($base | str replace -r '[/\\]$' '') =~ '^\.{3,}$'
        let expandable = ($dir_prefix | str starts-with '~') or ($dir_prefix | split row -r '[/\\]' | any {|s| $s =~ '^\.{3,}$' })
        let value = if not ($literal_ndots or ($spelled | needs-quote --allow-expansion)) {
          $spelled
        } else if $expandable {
          let expanded_prefix = ($dir_prefix | path expand --no-symlink)
          let expanded_prefix = if ($expanded_prefix | str ends-with "/") { $expanded_prefix } else { $expanded_prefix + "/" }
          ($expanded_prefix + $base) | quote-arg
        } else {
          $spelled | quote-arg
        }
        if ($insertion_prefix | is-not-empty) {
          # A key before the path keeps any tilde or n-dot segment from
          # being expanded, so quote the whole argument as written and show
          # the key in the menu as well.
          let keyed = $insertion_prefix + $name
          let keyed_value = ($keyed | quote-arg)
          if $keyed_value == $keyed {
            { value: $keyed_value }
          } else {
            { value: $keyed_value, display_override: $keyed }
          }
        } else if $value == $name {
          { value: $value }
        } else {
          { value: $value, display_override: $name }
        }
      }
    } else {
      # Regular literal completion - split by tab
      let parts = ($line | split row "	")
      let record = if ($parts | length) >= 2 {
        # value\tdescription format
        { value: ($parts | get 0), description: ($parts | get 1) }
      } else if ($parts | length) == 1 and ($parts | get 0 | is-not-empty) {
        # Just value
        { value: ($parts | get 0) }
      } else {
        null
      }
      # Quote values that Nushell would not read back as a single argument,
      # while the menu keeps showing them as they are
      if $record == null {
        null
      } else {
        let value = ($record.value | quote-arg)
        if $value == $record.value {
          $record
        } else {
          $record | upsert value $value | insert display_override $record.value
        }
      }
    }
  } | flatten | compact
}

# Custom completer for external commands
# This function will be called by Nushell's completion system
def --env "nu-complete-fz-external" [] {
  let existing_completer = $env.config.completions.external.completer

  $env.config.completions.external.completer = {|spans|
    # Check if this is for our program
    if ($spans.0 == "fz") {
      # Build context string from spans
      let context = $spans | str join ' '
      nu-complete-fz $context
    } else if ($existing_completer != null) {
      # Delegate to existing completer
      do $existing_completer $spans
    } else {
      # No completions
      null
    }
  }

  $env.config.completions.external.enable = true
}

# Auto-setup: register the completer when this module is imported
nu-complete-fz-external
