# What Elixir says of requirements: a line `REQUIREMENT|VERSION` is answered by true, false or error.
[file] = System.argv()

for line <- file |> File.read!() |> String.split("\n") do
  [requirement, version] = String.split(line, "|")

  answer =
    case Version.parse_requirement(requirement) do
      {:ok, requirement} -> Version.match?(version, requirement)
      :error -> :error
    end

  IO.puts("answer #{answer}")
end
