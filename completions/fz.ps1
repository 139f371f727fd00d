Register-ArgumentCompleter -Native -CommandName fz -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # CompletionText is shell syntax; display labels remain unquoted.
    $quoteArgument = {
        param([string]$value)
        if ($value -cmatch '\A[a-zA-Z0-9_./:\\-]+\z' -and $value -cnotmatch '\A-(?!-).*[.:]' -and $value -cnotmatch '\A-?(?:[0-9]|\.[0-9])') {
            return $value
        }
        return "'" + [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($value) + "'"
    }

    # Extract arguments from AST (handles quoted strings properly)
    $arguments = @()
    $commandElements = $commandAst.CommandElements
    $valuePrefix = $wordToComplete
    $quoteType = $null

    # Keep only complete arguments before the cursor.  The current word
    # (including a token ending exactly at the cursor) is appended below.
    for ($i = 1; $i -lt $commandElements.Count; $i++) {
        $element = $commandElements[$i]
        if ($element.Extent.EndOffset -ge $cursorPosition) {
            # wordToComplete has synthesized delimiters and decoded escapes.
            # Only the AST retains the literal value and original quote type.
            # PSReadLine leaves the cursor before a directory's closing quote.
            if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst] -and
                ($element.Extent.EndOffset -eq $cursorPosition -or
                 ($element.Extent.EndOffset -eq ($cursorPosition + 1) -and
                  $element.StringConstantType -in @('SingleQuoted', 'DoubleQuoted')))) {
                if ($element.StringConstantType -in @('SingleQuoted', 'DoubleQuoted')) {
                    $valuePrefix = $element.Value
                    $quoteType = $element.StringConstantType
                } elseif ($element.Extent.Text -match "^[^=]+=['\u2018-\u201b]") {
                    # Joined values are BareWord constants despite their quotes.
                    # Quote the entire replacement to keep it one argument.
                    $valuePrefix = $element.Value
                    $quoteType = 'SingleQuoted'
                } elseif ($element.Extent.Text -match '^[^=]+=["\u201c-\u201e]') {
                    $valuePrefix = $element.Value
                    $quoteType = 'DoubleQuoted'
                }
            }
            break
        }

        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $arguments += $element.Value
        } else {
            $arguments += $element.Extent.Text
        }
    }

    # CompletionText replaces the whole token, including its opening quote.
    # Escape literals without evaluating variables or expressions.
    $quoteCompletion = {
        param($text)
        if ($quoteType -eq 'SingleQuoted') {
            "'" + ($text -replace "['\u2018-\u201b]", '$0$0') + "'"
        } elseif ($quoteType -eq 'DoubleQuoted') {
            '"' + ($text -replace '[\x60$"\u201c-\u201e]', '`$0') + '"'
        } else {
            & $quoteArgument $text
        }
    }

    # Build arguments array for completion command
    $completionArgs = @()
    $completionArgs += @('completions', 'pwsh', '--')
    $completionArgs += $arguments

    # Call completion command and capture output
    try {
        # Quote the prefix separately: array arguments expand a literal tilde
        # when passed to native programs on Unix.
        $output = & fz $completionArgs "$valuePrefix" 2>$null
        if (-not $output) { return }

        # Parse tab-separated output and create CompletionResult objects
        $output -split "`n" | ForEach-Object {
            $literal = $_.StartsWith('__LITERAL__:', [System.StringComparison]::Ordinal)
            # Quoted values preserve whitespace; only remove the CR of CRLF.
            # Keep the existing trimming for unquoted completions.
            $line = if ($null -ne $quoteType) { $_.TrimEnd([char]13) } else { $_.Trim() }
            if (-not $line) { return }
            if ($literal) { $line = $line.Substring(12) }

            if (-not $literal -and $_.StartsWith('__FILE__:', [System.StringComparison]::Ordinal)) {
                # Parse file completion directive: __FILE__:type:extensions:pattern:hidden
                $directive = ($line -split "`t")[0]
                $parts = $directive -split ':', 6
                $type = $parts[1]
                $extensions = $parts[2]
                $pattern = $parts[3] -replace '%3A', ':' -replace '%25', '%'
                $hidden = $parts[4] -eq '1'
                $insertionPrefix = if ($parts.Length -gt 5) { $parts[5] -replace '%3A', ':' -replace '%25', '%' } else { '' }
                $matchingWord = $valuePrefix
                if ($insertionPrefix -and $pattern.StartsWith($insertionPrefix, [System.StringComparison]::Ordinal) -and $matchingWord.StartsWith($insertionPrefix, [System.StringComparison]::Ordinal)) {
                    $pattern = $pattern.Substring($insertionPrefix.Length)
                    $matchingWord = $matchingWord.Substring($insertionPrefix.Length)
                } else { $insertionPrefix = '' }

                # When a pattern is specified, use it as the file matching
                # prefix instead of the current word.  If the user has
                # already typed beyond the pattern, keep their input for
                # incremental narrowing.  Normalize path separators before
                # comparing so that Windows backslashes match forward slashes
                # in the transported pattern.
                $normalizedPattern = if ($pattern) { $pattern.Replace('\', '/') -replace '^\./','' } else { '' }
                $normalizedWord = if ($matchingWord) { $matchingWord.Replace('\', '/') -replace '^\./','' } else { '' }
                $comparison = if ($IsWindows) { [System.StringComparison]::OrdinalIgnoreCase } else { [System.StringComparison]::Ordinal }
                # For wildcard patterns, compare only the directory prefix
                $comparePattern = $normalizedPattern
                if ($comparePattern -match '[*?]') {
                    $beforeWild = $comparePattern -replace '[*?].*', ''
                    if ($beforeWild.Contains('/')) {
                        $comparePattern = $beforeWild.Substring(0, $beforeWild.LastIndexOf('/') + 1)
                    } else {
                        $comparePattern = ''
                    }
                }
                # A quoted home-pattern directory inserts an absolute path.
                # Compare subsequent input against the same expanded prefix.
                # Detect home syntax before removing ./, which can target a
                # literal local tilde directory rather than the home directory.
                $homePattern = $pattern -and ($pattern -eq '~' -or $pattern.Replace('\', '/').StartsWith('~/'))
                if ($homePattern) {
                    # Preserve the home root when the pattern is exactly ~.
                    $expandedPattern = if ($comparePattern -eq '~') { $HOME } else { $HOME.Replace('\', '/').TrimEnd('/') + $comparePattern.Substring(1) }
                    $expandedPattern = [IO.Path]::GetFullPath($expandedPattern).Replace('\', '/')
                    if ($normalizedWord.StartsWith($expandedPattern, $comparison)) {
                        $comparePattern = $expandedPattern
                    }
                }
                $prefix = if (($comparePattern -or $normalizedWord) -and $normalizedWord -and $normalizedWord.StartsWith($comparePattern, $comparison) -and $normalizedWord.Length -ge $comparePattern.Length -and $matchingWord -ne $pattern) {
                    $matchingWord
                } elseif ($pattern) {
                    $pattern
                } elseif ($matchingWord) {
                    $matchingWord
                } else { '' }

                # Use -Force to include hidden files when requested, or when
                # the prefix basename targets dotfiles (e.g., src/.e)
                $prefixBasename = if ($prefix) { Split-Path -Leaf $prefix } else { '' }
                $forceParam = if ($hidden -or ($prefixBasename -and $prefixBasename.StartsWith('.'))) { @{Force = $true} } else { @{} }

                # A quoted tilde is literal when passed to a native command.
                # Prevent PowerShell's file provider from expanding it to home.
                # Parser-provided home patterns still need home expansion.
                $prefixFromInput = $matchingWord -and $prefix -ceq $matchingWord
                $lookupPrefix = if ($prefixFromInput -and $null -ne $quoteType -and $prefix.StartsWith('~')) { './' + $prefix } else { $prefix }

                # Detect narrowing before directory normalization changes prefix.
                $narrowFixedGlob = $type -ne 'directory' -and $pattern -match '[*?]' -and $prefix -ceq $matchingWord -and $pattern -cne $matchingWord

                # If prefix is a directory without trailing slash, append
                # one so Get-ChildItem lists its contents
                if ($prefix -and (Test-Path -Path $lookupPrefix -PathType Container) -and -not $prefix.EndsWith('/') -and -not $prefix.EndsWith('\')) {
                    $prefix = $prefix + '/'
                    $lookupPrefix = $lookupPrefix + '/'
                }

                # Build the glob path—when the prefix contains wildcard
                # characters, use it as-is; otherwise append *
                $globPath = if ($lookupPrefix -match '[*?]') { $lookupPrefix } else { "${lookupPrefix}*" }

                # Keep the original native glob as an independent file filter
                # when the current word narrows its candidates.
                $fixedMatches = @()
                if ($narrowFixedGlob) {
                    # Include hidden parents here; candidate enumeration still
                    # controls which hidden children can be suggested.
                    $fixedMatches = @(Get-Item -Force -Path $pattern -ErrorAction SilentlyContinue |
                        Select-Object -ExpandProperty FullName)
                }

                # Get file system items based on type
                $items = @()
                switch ($type) {
                    'file' {
                        if ($extensions) {
                            # Filter by extensions, always include directories
                            $extList = ($extensions -split ',') -replace '^\.',''
                            $items = Get-ChildItem @forceParam -Path $globPath -ErrorAction SilentlyContinue |
                                Where-Object {
                                    $fileName = $_.Name
                                    $_.PSIsContainer -or (@($extList | Where-Object {
                                        $fileName.EndsWith('.' + $_, [System.StringComparison]::Ordinal)
                                    }).Count -gt 0)
                                }
                        } else {
                            $items = Get-ChildItem @forceParam -Path $globPath -ErrorAction SilentlyContinue
                        }
                    }
                    'directory' {
                        $items = Get-ChildItem @forceParam -Directory -Path $globPath -ErrorAction SilentlyContinue
                    }
                    'any' {
                        if ($extensions) {
                            # Filter by extensions, always include directories
                            $extList = ($extensions -split ',') -replace '^\.',''
                            $items = Get-ChildItem @forceParam -Path $globPath -ErrorAction SilentlyContinue |
                                Where-Object {
                                    $fileName = $_.Name
                                    $_.PSIsContainer -or (@($extList | Where-Object {
                                        $fileName.EndsWith('.' + $_, [System.StringComparison]::Ordinal)
                                    }).Count -gt 0)
                                }
                        } else {
                            $items = Get-ChildItem @forceParam -Path $globPath -ErrorAction SilentlyContinue
                        }
                    }
                }

                # For file/any modes with glob patterns, also add directories
                # from the base directory for navigation
                if ($prefix -match '[*?]' -and $type -ne 'directory') {
                    $globDir = Split-Path -Parent $lookupPrefix
                    if (-not $globDir) { $globDir = '.' }
                    $extraDirs = Get-ChildItem @forceParam -Directory -Path "$globDir/*" -ErrorAction SilentlyContinue
                    if ($extraDirs) { $items = @($items) + @($extraDirs) | Select-Object -Unique }
                }

                # Filter hidden files unless requested or the prefix targets dotfiles
                if (-not $hidden -and -not ($prefixBasename -and $prefixBasename.StartsWith('.'))) {
                    $items = $items | Where-Object { -not $_.Attributes.HasFlag([System.IO.FileAttributes]::Hidden) }
                }

                if ($narrowFixedGlob) {
                    $items = $items | Where-Object {
                        if ($_.PSIsContainer) { $true }
                        elseif ($IsWindows) { $fixedMatches -contains $_.FullName }
                        else { $fixedMatches -ccontains $_.FullName }
                    }
                }

                # Extract directory prefix to preserve in completion text
                $dirPrefix = if ($prefix -and ($prefix.Contains('/') -or $prefix.Contains('\'))) {
                    $slashIdx = [Math]::Max($prefix.LastIndexOf('/'), $prefix.LastIndexOf('\'))
                    $prefix.Substring(0, $slashIdx + 1)
                } else { '' }

                # Create completion results for files
                $items | ForEach-Object {
                    $completionText = if ($_.PSIsContainer) { "$dirPrefix$($_.Name)/" } else { "$dirPrefix$($_.Name)" }
                    $itemType = if ($_.PSIsContainer) { 'Directory' } else { 'File' }
                    $resultType = if ($_.PSIsContainer) { 'ProviderContainer' } else { 'ParameterValue' }
                    # PSReadLine recognizes the platform separator for containers.
                    # Keep the display label's existing slash convention.
                    $directorySuffix = [IO.Path]::DirectorySeparatorChar
                    $pathText = if ($_.PSIsContainer) { "$dirPrefix$($_.Name)$directorySuffix" } else { $completionText }
                    # Quoting disables native tilde expansion.  A home pattern
                    # supplied by the parser must insert the discovered path.
                    $replacementText = if ($null -ne $quoteType -and -not $prefixFromInput -and $homePattern) {
                        if ($_.PSIsContainer) { $_.FullName + $directorySuffix } else { $_.FullName }
                    } else { $pathText }
                    # Quoting suppresses native tilde expansion.  Keep safe
                    # ~/ paths bare; otherwise use the enumerated full path.
                    # Keyed paths keep the typed spelling, including ~/, and
                    # always take the quoted argument form.
                    $insertionText = if ($null -ne $quoteType) {
                        & $quoteCompletion ($insertionPrefix + $replacementText)
                    } elseif (-not $insertionPrefix -and $completionText -cmatch '\A~/[a-zA-Z0-9_./:\\-]*\z') {
                        $pathText
                    } else {
                        $argumentText = if (-not $insertionPrefix -and ($completionText.StartsWith('~/') -or $completionText.StartsWith('~\'))) {
                            if ($_.PSIsContainer) { $_.FullName + $directorySuffix } else { $_.FullName }
                        } else { $pathText }
                        & $quoteArgument ($insertionPrefix + $argumentText)
                    }
                    [System.Management.Automation.CompletionResult]::new(
                        $insertionText,
                        $completionText,
                        $resultType,
                        $itemType
                    )
                }
            } else {
                # Parse literal completion: text\tlistItemText\tdescription
                $parts = $line -split "`t", 3
                $completionText = $parts[0]
                # Empty display text is invalid for CompletionResult.  Keep
                # ignoring empty suggestions without dropping later records.
                if (-not $completionText) { return }
                $listItemText = if ($parts.Length -gt 1 -and $parts[1]) { $parts[1] } else { $completionText }
                $toolTip = if ($parts.Length -gt 2 -and $parts[2]) { $parts[2] } else { $completionText }

                [System.Management.Automation.CompletionResult]::new(
                    (& $quoteCompletion $completionText),
                    $listItemText,
                    'ParameterValue',
                    $toolTip
                )
            }
        }
    } catch {
        # Silently ignore errors
    }
}
