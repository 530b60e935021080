defmodule Bench.Machine do
  @moduledoc "Where the figures come from."

  def describe do
    %{
      cpu: cpu(),
      cores: System.schedulers_online(),
      otp: otp(),
      elixir: System.version(),
      jit: :erlang.system_info(:emu_flavor) == :jit,
      os: os(),
      date: Date.to_iso8601(Date.utc_today())
    }
  end

  defp cpu do
    with {:ok, info} <- File.read("/proc/cpuinfo"),
         [_, name] <- Regex.run(~r/^model name\s*:\s*(.+)$/m, info) do
      String.replace(name, ~r/\((R|TM)\)/, "")
    else
      _ -> List.to_string(:erlang.system_info(:system_architecture))
    end
  end

  # With the patch level, where it is there to read.
  defp otp do
    release = System.otp_release()

    case File.read(Path.join([:code.root_dir(), "releases", release, "OTP_VERSION"])) do
      {:ok, version} -> String.trim(version)
      {:error, _} -> release
    end
  end

  defp os do
    {family, name} = :os.type()

    case :os.version() do
      {major, minor, patch} -> "#{family} #{name} #{major}.#{minor}.#{patch}"
      version -> "#{family} #{name} #{version}"
    end
  end
end
