# What Hex says under a policy: a line `POLICY|VERSION|PUBLISHED|RETIRED|ADVISORIES|NOW` is answered by allowed or blocked.
[file] = System.argv()

for line <- file |> File.read!() |> String.split("\n") do
  [policy, version, published, retired, advisories, now] = String.split(line, "|")
  {:ok, policy} = :mix_hex_registry.decode_policy(Base.decode64!(policy), "acme", "company")

  advisories =
    for advisory <- String.split(advisories, ",", trim: true) do
      [id, other, severity] = String.split(advisory, "/")
      severity = if severity == "9", do: 9, else: String.to_atom(severity)
      %{id: id, aliases: [other], severity: severity}
    end

  candidate = %{
    repo: "hexpm:acme",
    package: "jason",
    version: version,
    advisories: advisories,
    retired: if(retired == "", do: nil, else: %{reason: String.to_atom(retired)}),
    published_at: if(published == "", do: nil, else: String.to_integer(published))
  }

  answer =
    case Hex.Policy.Filter.classify(policy, candidate, now: String.to_integer(now)) do
      :allowed -> :allowed
      {:blocked, _reasons} -> :blocked
    end

  IO.puts("answer #{answer}")
end
